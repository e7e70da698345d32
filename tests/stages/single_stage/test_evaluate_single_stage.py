"""Scores of the single-stage network under several ways of inference."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import scenes
from wsss.artefacts.formats import read_manifest, write_labels
from wsss.artefacts.identity import Identity, making
from wsss.stages.evaluate import count_predictions, evaluate_segmentation
from wsss.stages.single_stage import evaluate_single_stage

INFERENCES: dict[str, dict[str, Any]] = {
    "plain": {"side": 960, "tags": False, "crf": {"iterations": 10}, "source": "decoder"},
    "tagged": {"side": 960, "tags": True, "crf": None, "source": "decoder"},
}


def counts(folder: Path, name: str, shard: str, split: str) -> Path:
    """Counts of predictions near the truth for ``plain``, of background alone for ``tagged``."""
    data = read_manifest(folder / "manifest.jsonl")
    params = {"settings": INFERENCES[name], "split": split}
    labels, index = scenes.make_labels(folder / name, data, split, shard, params)
    if name == "tagged":
        empty = [(record.id, np.zeros(scenes.SIZE, np.uint8)) for record in data.shard(split, shard)]
        write_labels(labels, index, empty, params)
    path = folder / f"{name}_{shard}.safetensors"
    manifest = folder / "manifest.jsonl"
    with making(Identity("count_predictions", {"inference": name})):
        count_predictions.run(
            manifest=manifest, labels=[labels], indexes=[index], counts=path, split=split, shards=[shard]
        )
    return path


def run(folder: Path, main: str = "plain", split: str = "val", seen: bool = False) -> dict[str, Any]:
    scenes.make_manifest(folder)
    evaluate_single_stage.run(
        manifest=folder / "manifest.jsonl",
        counts=[counts(folder, name, shard, split) for shard in scenes.SHARDS for name in INFERENCES],
        weights=scenes.make_weights(folder, "apc", pixel_labels=seen, seed=4),
        scores=folder / "scores.json",
        kind="apc",
        inferences=INFERENCES,
        main=main,
        split=split,
    )
    result: dict[str, Any] = json.loads((folder / "scores.json").read_text(), parse_constant=pytest.fail)
    return result


def test_each_inference_is_named_and_the_main_one_stands_at_the_top(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result["inference"] == "plain" and result["side"] == 960
    assert result["miou"] == result["inferences"]["plain"]["miou"]
    assert result["inferences"]["plain"]["per_class"][1]["iou"] == pytest.approx(41 / 47)
    assert result["inferences"]["tagged"]["per_class"][1]["iou"] == 0


def test_every_inference_says_whether_it_used_the_tags(tmp_path: Path) -> None:
    result = run(tmp_path)
    parts = result["inferences"]
    assert {name: part["image_tags_used"] for name, part in parts.items()} == {"plain": False, "tagged": True}
    assert result["image_tags_used"] is False and "without image labels" in result["measured"]
    assert "restricted to the image's labels" in parts["tagged"]["measured"]


def test_tags_may_not_make_the_main_score_of_unseen_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"main inference 'tagged': expected one without tags, .* 'val'"):
        run(tmp_path, main="tagged")


def test_masks_of_the_training_images_may_use_the_tags(tmp_path: Path) -> None:
    result = run(tmp_path, main="tagged", split="train")
    assert (result["split"], result["images"]) == ("train", 3)  # the fourth has no mask
    assert result["image_tags_used"] is True and "restricted to" in result["measured"]


@pytest.mark.parametrize("seen", [False, True])
def test_the_initial_weights_are_said(tmp_path: Path, seen: bool) -> None:
    result = run(tmp_path, seen=seen)
    assert result["initial_supervision"] == {"apc": "labels for apc"}
    assert result["pixel_labels_used"] is seen
    assert result["run"] == 4


def test_fields_are_those_of_the_segmentation_network_and_the_tags(tmp_path: Path) -> None:
    scenes.make_manifest(tmp_path)
    evaluate_segmentation.run(
        manifest=tmp_path / "manifest.jsonl",
        counts=[counts(tmp_path, "plain", shard, "val") for shard in scenes.SHARDS],
        weights=scenes.make_weights(tmp_path, "classifier"),
        segmenter_weights=scenes.make_weights(tmp_path, "segmenter"),
        scores=tmp_path / "other.json",
        inferences={"plain": INFERENCES["plain"]},
        main="plain",
    )
    other = json.loads((tmp_path / "other.json").read_text())
    assert set(run(tmp_path)) == {*other, "image_tags_used"}


def test_unknown_main_inference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one of \['plain', 'tagged'\], found 'multi'"):
        run(tmp_path, main="multi")
