"""The single-stage network's variants, one row per variant and way of inference."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.compared import document
from wsss.artefacts.formats import ArtefactError, read_table, write_json
from wsss.artefacts.identity import Identity, making
from wsss.stages.single_stage import tabulate_ablations

COMMON = {"epochs": 5, "beta": 0.1, "contrast": {"lowest": False}, "segmentation": {"balanced": True}}
TRAININGS: dict[str, dict[str, Any]] = {
    "whole": {**COMMON, "pooling": {"kind": "adaptive_k", "k": 6}, "alpha": 0.2},
    "plain": {**COMMON, "pooling": {"kind": "max", "k": 6}, "alpha": 0.0},
}


def of_apc(trainings: dict[str, Any]) -> dict[str, Any]:
    return {name: {"kind": "apc", "training": training} for name, training in trainings.items()}


SCORES = {"whole": 0.6, "plain": 0.4}


def scored(run: int, miou: float, split: str) -> dict[str, Any]:
    inferences = {
        name: {**document(run, miou + gain, "", split), "side": side, "crf": crf, "image_tags_used": False}
        for name, gain, side, crf in (("small", 0.0, 48, None), ("big", 0.1, 96, {"iterations": 10}))
    }
    return document(run, miou + 0.1, "predictions", split, inference="big", inferences=inferences)


def tabulate(folder: Path, runs: tuple[int, ...] = (0,), **changed: Any) -> pd.DataFrame:
    paths: dict[str, list[Path]] = {"scores": [], "pseudo": []}
    for place, run in enumerate(runs):
        for name, miou in SCORES.items():
            for argument, tail, split in (("scores", "seg", "val"), ("pseudo", "pseudo", "masked")):
                path = folder / f"run{run}" / name / f"{tail}_miou.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                with making(Identity("evaluate_single_stage", {"run": str(run), "single": name})):
                    write_json(path, scored(run, miou + 0.1 * place, split))
                paths[argument].append(path)
    arguments = {
        **paths,
        "table": folder / "ablations.csv",
        "variants": of_apc(TRAININGS),
        "runs": list(runs),
    }
    tabulate_ablations.run(**{**arguments, **changed})
    return read_table(folder / "ablations.csv").set_index(["variant", "inference"])


def test_a_row_a_variant_and_way_of_inference(tmp_path: Path) -> None:
    table = tabulate(tmp_path)
    assert list(table.index) == [(name, side) for name in TRAININGS for side in ("big", "small")]
    row = table.loc[("whole", "small")]
    assert row["segmentation_miou"] == pytest.approx(0.6)
    assert row["pseudo_miou"] == pytest.approx(0.7)
    assert (row["pooling"], row["alpha"], row["side"]) == ("adaptive_k", 0.2, 48)
    assert (row["segmentation_split"], row["segmentation_images"], row["pseudo_split"]) == (
        "val",
        8,
        "masked",
    )
    assert list(table["pseudo_inference"]) == ["big"] * 4  # whatever the row's own
    assert list(table["crf"]) == [True, False] * 2
    assert list(table["main"]) == [True, False] * 2
    assert table["segmentation_miou_deviation"].isna().all()


@pytest.mark.parametrize(
    ("lowest", "balanced", "words"),
    [
        (True, True, "contrast with the one lowest patch"),
        (False, False, "plain cross-entropy of the decoder"),
        (True, False, "contrast with the one lowest patch; plain cross-entropy of the decoder"),
    ],
)
def test_a_row_by_the_letter_of_the_paper_says_so(
    tmp_path: Path, lowest: bool, balanced: bool, words: str
) -> None:
    letter = {"contrast": {"lowest": lowest}, "segmentation": {"balanced": balanced}}
    variants = {**TRAININGS, "plain": {**TRAININGS["plain"], **letter}}
    table = tabulate(tmp_path, variants=of_apc(variants))
    assert set(table.loc["plain"]["by_the_letter"]) == {words}
    assert table.loc["whole"]["by_the_letter"].isna().all()


def test_mean_and_sample_deviation_over_runs(tmp_path: Path) -> None:
    row = tabulate(tmp_path, runs=(0, 5, 7)).loc[("plain", "small")]
    assert row["segmentation_miou"] == pytest.approx(0.5)
    assert row["segmentation_miou_deviation"] == pytest.approx(0.1)
    assert row["runs"] == "0 5 7"


def test_a_variant_without_scores_has_an_empty_row(tmp_path: Path) -> None:
    more = {**TRAININGS, "absent": TRAININGS["plain"]}
    table = tabulate(tmp_path, variants=of_apc(more)).reset_index().set_index("variant")
    assert pd.isna(table.loc["absent", "segmentation_miou"])
    assert table.loc["absent", "pooling"] == "max"


def test_a_run_without_its_file_is_an_error(tmp_path: Path) -> None:
    tabulate(tmp_path)
    with pytest.raises(
        ArtefactError, match=r"whole/seg_miou.json: expected such a file of each of the runs \[0, 1\]"
    ):
        tabulate_ablations.run(
            scores=[tmp_path / "run0" / "whole" / "seg_miou.json"],
            table=tmp_path / "ablations.csv",
            variants=of_apc(TRAININGS),
            runs=[0, 1],
        )
