"""Hours of single stages beside a chain of several."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.compared import JOBS, SHARDS, SYSTEMS, VAL_SHARDS, Scene, make_scene, write_benchmark
from wsss.artefacts.formats import read_table
from wsss.stages.single_stage import tabulate_costs

COSTED = (SYSTEMS[2], SYSTEMS[3])


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def tabulate(scene: Scene, **changed: Any) -> pd.DataFrame:
    arguments: dict[str, Any] = {
        "manifest": scene.path("manifest.jsonl"),
        "scores": scene.files["segmentation"],
        "table": scene.path("cost.csv"),
        "systems": [asdict(system) for system in COSTED],
        "runs": list(scene.runs),
        "shards": SHARDS,
        "val_shards": VAL_SHARDS,
        "benchmarks": scene.path("benchmarks"),
    }
    tabulate_costs.run(**{**arguments, **changed})
    return read_table(scene.path("cost.csv")).set_index("system")


def hours(*rules: str, parts: int = 1) -> float:
    return sum(JOBS[rule][0] for rule in rules) * parts / 3600


def test_hours_are_of_trainings_and_of_several_stages_labels(scene: Scene) -> None:
    table = tabulate(scene)
    chain, single = table.loc["AD-CAM + IRNet"], table.loc["APC"]
    trained = hours("train_classifier", "train_irn", "train_segmenter")
    makers = ("extract_maps", "diffuse_cams", "make_irn_labels", "walk_cams", "make_pseudo_labels")
    assert chain["train_hours"] == pytest.approx(trained)
    assert chain["label_hours"] == pytest.approx(hours(*makers, parts=2))
    assert chain["hours"] == pytest.approx(trained + hours(*makers, parts=2))
    assert single["hours"] == single["train_hours"] == pytest.approx(hours("train_single_stage"))
    assert pd.isna(single["label_hours"])
    assert single["predict_hours"] == pytest.approx(hours("predict_single_stage_masks"))
    assert list(table["stages"]) == ["multiple", "single"]
    assert list(table["segmentation_miou"]) == pytest.approx([0.63, 0.68])


def test_means_are_over_the_runs(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, runs=(0, 3))
    write_benchmark(scene.path("benchmarks/train_single_stage/toy/run3/apc.tsv"), 360, 1)
    row = tabulate(scene).loc["APC"]
    assert row["hours"] == pytest.approx((120 + 360) / 2 / 3600)
    assert row["segmentation_miou"] == pytest.approx(0.73) and row["runs"] == "0 3"


def test_what_no_benchmark_tells_is_empty_and_not_guessed(scene: Scene) -> None:
    scene.path("benchmarks/walk_cams/toy/run0/small/adcam/irn/001of002.tsv").unlink()
    row = tabulate(scene).loc["AD-CAM + IRNet"]
    assert row[["hours", "label_hours"]].isna().all() and row["train_hours"] > 0
