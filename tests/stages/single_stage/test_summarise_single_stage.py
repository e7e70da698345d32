"""Mean, deviation and each run of the single stage."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.summaries import document, scores, write
from wsss.artefacts.formats import ArtefactError
from wsss.commands.scores import format_scores
from wsss.stages.single_stage import summarise_single_stage


def run(folder: Path, mious: list[float], runs: list[int]) -> dict[str, Any]:
    pairs = list(zip(runs, mious, strict=True))
    said = {"side": 960, "crf": None, "image_tags_used": False}
    inferences = {"plain": {**scores(0.4), **said}, "tags": {**scores(0.6), **said, "image_tags_used": True}}
    supervision = {"initial_supervision": {"apc": "more labels"}}
    predicted = {"inference": "plain", "inferences": inferences, **said, **supervision}
    summarise_single_stage.run(
        runs=runs,
        seed_scores=write(
            folder,
            "seed",
            [document(seed, 0.3, threshold=0.2, threshold_chosen="configured") for seed, _ in pairs],
        ),
        pseudo_scores=write(folder, "pseudo", [document(seed, 0.45, **supervision) for seed, _ in pairs]),
        segmentation=write(folder, "seg", [document(seed, miou, **predicted) for seed, miou in pairs]),
        scores=folder / "summary.json",
    )
    result: dict[str, Any] = json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
    return result


def test_the_segmentation_stands_at_the_top_and_what_is_scored_below(tmp_path: Path) -> None:
    result = run(tmp_path, [0.5, 0.6], [0, 1])
    assert result["miou"] == {
        "mean": pytest.approx(0.55),
        "deviation": pytest.approx(0.005**0.5),
        "runs": [0.5, 0.6],
    }
    assert result["stages"]["seed"]["miou"]["mean"] == pytest.approx(0.3)
    assert result["stages"]["pseudo"]["miou"]["mean"] == pytest.approx(0.45)
    assert set(result["stages"]) == {"seed", "pseudo", "segmentation"}


def test_sides_and_the_use_of_image_labels_are_said(tmp_path: Path) -> None:
    result = run(tmp_path, [0.5], [0])
    assert (result["side"], result["image_tags_used"]) == (960, False)
    beside = result["stages"]["segmentation"]["inferences"]["tags"]
    assert beside["image_tags_used"] is True
    assert beside["miou"]["mean"] == pytest.approx(0.6)


def test_summary_prints_as_a_table(tmp_path: Path) -> None:
    lines = format_scores(run(tmp_path, [0.5, 0.6], [0, 1])).splitlines()
    assert any(line.startswith("segmentation") and "55.0 ± 7.1" in line for line in lines)


def test_scores_of_another_run_are_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path, [0.5, 0.6], [0, 1])
    files = {
        name: [tmp_path / f"{part}{number}.json" for number in (0, 1)]
        for name, part in (("seed_scores", "seed"), ("pseudo_scores", "pseudo"), ("segmentation", "seg"))
    }
    with pytest.raises(ArtefactError, match=r"seed1\.json: expected the scores of run 5, found 1"):
        summarise_single_stage.run(runs=[0, 5], **files, scores=tmp_path / "summary.json")
