"""Scores of pseudo labels."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import scenes
from wsss.artefacts.formats import read_manifest
from wsss.stages.evaluate import count_pseudo, evaluate_pseudo


def run(folder: Path, masks: bool = True, threshold: float | str = 0.3, **more: Path) -> dict[str, Any]:
    manifest = scenes.make_manifest(folder, masks)
    settings = {**scenes.SETTINGS, "threshold": threshold}
    found = {"threshold": 0.42} if threshold == "otsu_dataset" else {}
    params = {**found, "settings": settings, "maps": {"settings": {"kind": "cam"}, "views": scenes.VIEWS}}
    counts = []
    for shard in scenes.SHARDS:
        labels, index = scenes.make_labels(folder / "pseudo", read_manifest(manifest), "train", shard, params)
        counts.append(folder / f"{shard}.safetensors")
        count_pseudo.run(
            manifest=manifest, labels=[labels], indexes=[index], counts=counts[-1], shards=[shard]
        )
    evaluate_pseudo.run(
        manifest=manifest,
        counts=counts,
        weights=scenes.make_weights(folder),
        scores=folder / "scores.json",
        settings=settings,
        **more,
    )
    result: dict[str, Any] = json.loads((folder / "scores.json").read_text(), parse_constant=pytest.fail)
    return result


def test_scores_by_hand(tmp_path: Path) -> None:
    result = run(tmp_path)
    # Two images with an object of 47 known pixels, of which 6 are missed; the third has no object.
    assert [row["iou"] for row in result["per_class"]] == pytest.approx(
        [(3 * 96 - 3 - 94) / (3 * 96 - 3 - 82), 41 / 47, 41 / 47]
    )
    assert (result["mean_fp"], result["mean_fn"]) == pytest.approx((0, 6 / 47))
    assert result["pixel_accuracy"] == pytest.approx(1 - 12 / (3 * 96 - 3))


def test_file_says_what_was_measured(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result["split"], result["images"]) == ("masked", 3)
    assert (result["threshold"], result["crf"]) == (0.3, None)
    assert result["scales"] == [1.0, 0.5]
    assert result["maps"]["settings"] == {"kind": "cam"}


@pytest.mark.parametrize(("rule", "threshold"), [("otsu", None), ("otsu_dataset", 0.42)])
def test_file_says_which_rule_chose_the_threshold(rule: str, threshold: float | None, tmp_path: Path) -> None:
    result = run(tmp_path, threshold=rule)
    assert (result["threshold"], result["threshold_rule"]) == (threshold, rule)
    assert rule in result["threshold_chosen"]


def test_without_any_mask_scores_are_null(tmp_path: Path) -> None:
    result = run(tmp_path, masks=False)
    assert (result["images"], result["miou"], result["pixel_accuracy"]) == (0, None, None)


def test_every_trained_network_s_initial_weights_are_said(tmp_path: Path) -> None:
    plain = run(tmp_path)
    assert (set(plain["initial_weights"]), plain["pixel_labels_used"]) == ({"classifier"}, False)
    walked = run(tmp_path, irn_weights=scenes.make_weights(tmp_path, "irn", pixel_labels=True))
    assert walked["initial_weights"]["irn"]["file"] == "irn.pth"
    assert set(walked["initial_supervision"]) == {"classifier", "irn"}
    assert walked["pixel_labels_used"] is True
