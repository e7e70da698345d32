"""Mean, deviation and each run of a chain."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.summaries import document, scores, write
from wsss.artefacts.formats import ArtefactError
from wsss.commands.scores import format_scores
from wsss.stages.evaluate import summarise_runs


def run(
    folder: Path,
    mious: list[float | None],
    runs: list[int] | None = None,
    pixel_labels: bool = False,
    **more_of_last: Any,
) -> dict[str, Any]:
    runs = runs or list(range(len(mious)))
    pairs = list(enumerate(mious))
    best = {"threshold": 0.2, "threshold_chosen": "highest mIoU"}
    configured = {**scores(0.3), "threshold": 0.25, "threshold_chosen": "configured"}
    inferences = {"single": {**scores(0.4), "scales": [1.0]}, "multi": {**scores(0.5), "scales": [0.5, 1.0]}}
    supervision = {"classifier": "image labels", "segmenter": "other image labels"}
    last: dict[str, Any] = {
        "initial_supervision": supervision,
        "pixel_labels_used": pixel_labels,
        **more_of_last,
    }
    own = {"threshold": 0.3, "threshold_deviation": 0.1, "threshold_rule": "otsu", "threshold_chosen": "by"}
    more = {"configured": configured, "rules": {"otsu": {**scores(0.25), **own}}}
    seed_scores = write(folder, "seed", [document(seed, 0.35, **best, **more) for seed, _ in pairs])
    summarise_runs.run(
        runs=runs,
        seed_scores=seed_scores,
        refined_scores=seed_scores,
        pseudo_scores=write(folder, "pseudo", [document(seed, 0.4, crf=None) for seed, _ in pairs]),
        segmentation=write(
            folder,
            "segmentation",
            [document(seed, miou, inference="multi", inferences=inferences, **last) for seed, miou in pairs],
        ),
        scores=folder / "seg_miou.json",
    )
    result: dict[str, Any] = json.loads((folder / "seg_miou.json").read_text(), parse_constant=pytest.fail)
    return result


def test_mean_deviation_and_each_run(tmp_path: Path) -> None:
    result = run(tmp_path, [0.5, 0.6, 0.7])
    assert result["miou"] == {
        "mean": pytest.approx(0.6),
        "deviation": pytest.approx(0.1),
        "runs": [0.5, 0.6, 0.7],
    }
    assert result["runs"] == [0, 1, 2]
    assert result["per_class"][1]["iou"] == pytest.approx(0.6)
    assert result["stages"]["segmentation"]["miou"] == result["miou"]
    assert result["stages"]["pseudo"]["mean_fn"]["mean"] == pytest.approx(0.2)


def test_one_run_has_no_deviation(tmp_path: Path) -> None:
    assert run(tmp_path, [0.5])["miou"] == {"mean": 0.5, "deviation": None, "runs": [0.5]}


def test_a_run_without_score_leaves_no_mean(tmp_path: Path) -> None:
    assert run(tmp_path, [0.5, None])["miou"] == {"mean": None, "deviation": None, "runs": [0.5, None]}


def test_stages_say_threshold_inference_and_both_kinds_of_score(tmp_path: Path) -> None:
    stages = run(tmp_path, [0.5, 0.6])["stages"]
    assert list(stages) == ["pseudo", "refined", "seed", "segmentation"]  # sorted, as all keys of the file
    assert stages["seed"]["threshold"] == [0.2, 0.2]
    assert stages["seed"]["configured"]["threshold"] == [0.25, 0.25]
    assert stages["seed"]["configured"]["miou"]["mean"] == pytest.approx(0.3)
    otsu = stages["seed"]["rules"]["otsu"]
    assert (otsu["threshold"], otsu["threshold_deviation"]) == ([0.3, 0.3], [0.1, 0.1])
    assert (otsu["threshold_rule"], otsu["threshold_chosen"], otsu["miou"]["mean"]) == ("otsu", "by", 0.25)
    assert stages["segmentation"]["inferences"]["single"]["scales"] == [1.0]
    assert stages["segmentation"]["inferences"]["single"]["miou"]["runs"] == [0.4, 0.4]


def test_summary_prints_as_a_table_in_the_chain_s_order(tmp_path: Path) -> None:
    lines = format_scores(run(tmp_path, [0.5, 0.6])).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")][2:] == [
        "seed",
        "refined",
        "pseudo",
        "segmentation",
    ]
    assert "55.0 ± 7.1" in lines[-2]


def test_pixel_labels_of_one_stage_are_said(tmp_path: Path) -> None:
    assert run(tmp_path, [0.5])["pixel_labels_used"] is False
    assert run(tmp_path, [0.5], pixel_labels=True)["pixel_labels_used"] is True


@pytest.mark.parametrize("initially", [False, True])
def test_an_upper_bound_is_said_and_printed(tmp_path: Path, initially: bool) -> None:
    weights = {"segmenter": {"supervision": "image labels", "pixel_labels": initially}}
    taught = {"training_supervision": {"segmenter": "masks, 3 of 4"}, "initial_weights": weights}
    result = run(tmp_path, [0.5, 0.6], pixel_labels=True, **taught)
    assert result["training_supervision"] == {"segmenter": ["masks, 3 of 4"]}
    assert (result["initial_pixel_labels"], result["pixel_labels_used"]) == (initially, True)
    printed = format_scores(result)
    assert "segmenter was trained on pixel labels (masks, 3 of 4)" in printed
    assert ("initial weights" in printed) is initially
    assert "training_supervision" not in run(tmp_path, [0.5, 0.6])


def test_supervision_is_listed_network_by_network(tmp_path: Path) -> None:
    assert run(tmp_path, [0.5, 0.6])["initial_supervision"] == {
        "classifier": ["image labels"],
        "segmenter": ["other image labels"],
    }


def test_scores_of_another_run_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"seed1\.json: expected the scores of run 5, found 1"):
        run(tmp_path, [0.5, 0.6], runs=[0, 5])


def test_a_file_a_run_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a file for each of the runs \[0, 1\]"):
        run(tmp_path, [0.5], runs=[0, 1])
