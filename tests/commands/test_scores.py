"""The command line: the table of scores, its help and its errors."""

import json
from pathlib import Path
from typing import Any

import pytest

from wsss.cli import main


def spread(*values: float) -> dict[str, Any]:
    return {
        "mean": sum(values) / len(values),
        "deviation": 0.01 if len(values) > 1 else None,
        "runs": list(values),
    }


def stage(split: str, *values: float, **more: Any) -> dict[str, Any]:
    scores = {name: spread(*values) for name in ("miou", "mean_fp", "mean_fn")}
    return {"split": split, "images": 60, **scores, **more}


def summary(*values: float) -> dict[str, Any]:
    configured = {**stage("seed", 0.3), "threshold": [0.25], "threshold_chosen": "configured"}
    best = {"threshold": [0.2], "threshold_chosen": "highest mIoU of the sweep"}
    return {
        "form": "summary",
        "dataset": "sample",
        "runs": list(range(len(values))),
        "pixel_labels_used": False,
        "stages": {
            "seed": stage("seed", *values, **best, configured=configured),
            "pseudo": stage("seed", *values),
            "segmentation": stage(
                "val",
                *values,
                inference="multi",
                inferences={"single": stage("val", 0.5), "multi": stage("val", 0.6)},
            ),
        },
    }


def write(folder: Path, document: dict[str, Any]) -> str:
    path = folder / "seg_miou.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_scores_prints_an_aligned_row_a_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scores", write(tmp_path, summary(0.412))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "sample, percent, run 0",
        "stage         mIoU    FP    FN  measured on",
        "seed          41.2  41.2  41.2  seed, 60 images, threshold 0.2 (best on this truth)",
        "              30.0  30.0  30.0  seed, 60 images, threshold 0.25 (config)",
        "pseudo        41.2  41.2  41.2  seed, 60 images",
        "segmentation  41.2  41.2  41.2  val, 60 images, inference multi",
        "              50.0  50.0  50.0  val, 60 images, inference single",
    ]


def test_scores_by_rules_stand_below_the_configured_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"threshold": [0.4123], "threshold_deviation": [0.1], "threshold_rule": "otsu"}
    shared = {"threshold": [0.43], "threshold_rule": "otsu_dataset"}
    rules = {
        rule["threshold_rule"]: stage("seed", 0.35, **rule, threshold_chosen="by rule")
        for rule in (own, shared)
    }
    unsaid = {"threshold": [None], "threshold_rule": "otsu", "threshold_chosen": "by rule"}
    document = summary(0.412)
    document["stages"]["seed"] |= {"rules": rules}
    document["stages"]["pseudo"] |= unsaid
    ends = [
        "threshold 0.2 (best on this truth)",
        "threshold 0.25 (config)",
        "threshold 0.412 (otsu, a mean of each image's own)",
        "threshold 0.43 (otsu_dataset)",
        "threshold (otsu, each image's own)",
    ]
    main(["scores", write(tmp_path, document)])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.partition("images, ")[2] for line in lines[:5]] == ends
    document["stages"]["seed"]["configured"] = rules["otsu"]
    main(["scores", write(tmp_path, document)])
    lines = capsys.readouterr().out.splitlines()[2:]
    ends[1:3] = ["threshold 0.412 (otsu, config, a mean of each image's own)"]
    assert [line.partition("images, ")[2] for line in lines[:4]] == ends


def test_scores_of_several_seeds_have_a_deviation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["scores", write(tmp_path, summary(0.4, 0.42))])
    assert "pseudo        41.0 ± 1.0" in capsys.readouterr().out


def test_picture_beside_the_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, summary(0.4))
    main(["scores", path])
    assert "picture" not in capsys.readouterr().out
    (tmp_path / "examples.png").touch()
    main(["scores", path])
    assert f"picture: {tmp_path / 'examples.png'}" in capsys.readouterr().out


def test_pixel_labels_of_the_initial_weights_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "initial weights were trained with pixel labels: not a weakly supervised result"
    main(["scores", write(tmp_path, summary(0.4))])
    assert "supervised" not in capsys.readouterr().out
    main(["scores", write(tmp_path, {**summary(0.4), "pixel_labels_used": True})])
    assert capsys.readouterr().out.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("taught", "initial", "both"),
    [
        ({"segmenter": ["true masks, 3 of 4"]}, {"initial_pixel_labels": False}, False),
        ({"segmenter": ["true masks, 3 of 4"]}, {"initial_pixel_labels": True}, True),
        ({"segmenter": "true masks, 3 of 4"}, {"initial_weights": {"a": {"pixel_labels": False}}}, False),
        ({"segmenter": "true masks, 3 of 4"}, {"initial_weights": {"a": {"pixel_labels": True}}}, True),
    ],
    ids=["summary", "summary of both", "scores", "scores of both"],
)
def test_an_upper_bound_s_pixel_labels_are_those_of_its_training(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    taught: dict[str, Any],
    initial: dict[str, Any],
    both: bool,
) -> None:
    document = {**summary(0.4), "pixel_labels_used": True, "training_supervision": taught, **initial}
    main(["scores", write(tmp_path, document)])
    lines = [line for line in capsys.readouterr().out.splitlines() if "supervised" in line]
    assert lines == [
        "segmenter was trained on pixel labels (true masks, 3 of 4): not a weakly supervised result",
        *(["initial weights were trained with pixel labels: not a weakly supervised result"] if both else []),
    ]


def test_nothing_scored_is_a_dash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "form": "scores",
        "dataset": "own",
        "seed": 1,
        "split": "val",
        "images": 0,
        "pixel_labels_used": False,
    }
    main(["scores", write(tmp_path, {**document, "miou": None, "mean_fp": None, "mean_fn": None})])
    assert capsys.readouterr().out.splitlines()[2].split() == ["scores", "-", "-", "-", "val,", "0", "images"]


def test_missing_and_foreign_files_are_clear_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scores", str(tmp_path / "absent.json")]) == 1
    assert "absent.json: no such file" in capsys.readouterr().err
    assert main(["scores", write(tmp_path, {"loss": 1})]) == 1
    assert "expected a metrics file" in capsys.readouterr().err


def test_help_explains_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scores", "--help"])
    text = capsys.readouterr().out
    assert "results/sample/seg_miou.json" in text
    assert "background" in text
