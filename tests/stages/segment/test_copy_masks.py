"""Upper bounds: a segmentation network trained on true masks, and what every file then says of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import scenes
from tests.support.trainings import DEEPLAB, RANDOM, SEGMENTER_TRAINING
from wsss.artefacts.formats import (
    ArtefactError,
    open_tensors,
    read_label,
    read_label_index,
    read_manifest,
    write_manifest,
)
from wsss.stages.evaluate import count_predictions, evaluate_segmentation
from wsss.stages.segment import copy_masks, predict_masks, train_segmenter

INFERENCE = {"scales": [1.0], "mirror": False, "crf": None}
INITIAL = {**RANDOM, "supervision": "image labels"}


def copied(folder: Path, manifest: Path) -> dict[str, list[Path]]:
    """Masks of both shards, as arguments of a training."""
    made: dict[str, list[Path]] = {"labels": [], "indexes": []}
    for shard in scenes.SHARDS:
        labels, index = folder / shard, folder / f"{shard}.jsonl"
        copy_masks.run(manifest=manifest, labels=labels, index=index, shard=shard)
        made["labels"].append(labels)
        made["indexes"].append(index)
    return made


def train(folder: Path, manifest: Path, made: dict[str, list[Path]]) -> Path:
    train_segmenter.run(
        manifest=manifest,
        **made,
        weights=folder / "weights.safetensors",
        history=folder / "history.csv",
        network=DEEPLAB,
        initial=INITIAL,
        training=SEGMENTER_TRAINING,
        seed=1,
    )
    return folder / "weights.safetensors"


def test_masks_are_copied_as_they_are(tmp_path: Path) -> None:
    """Of four training images one has no mask; a void pixel stays void."""
    manifest = scenes.make_manifest(tmp_path)
    made = copied(tmp_path / "truth", manifest)
    ids = [read_label_index(index).ids for index in made["indexes"]]
    assert ids == [("a/0", "a/2"), ("a/1",)]
    for folder, names in zip(made["labels"], ids, strict=True):
        for name in names:
            label = {"a/0": 1, "a/1": 2, "a/2": 0}[name]
            assert np.array_equal(read_label(folder, name, scenes.SIZE), scenes.truth(label))
    for index in made["indexes"]:
        assert read_label_index(index).params == {**copy_masks.TRUTH, "masked": 3, "images": 4}


def test_every_file_of_an_upper_bound_says_so(tmp_path: Path) -> None:
    manifest = scenes.make_manifest(tmp_path)
    weights = train(tmp_path / "out", manifest, copied(tmp_path / "truth", manifest))
    with open_tensors(weights, "weights") as shard:
        assert shard.params["labels"] == {**copy_masks.TRUTH, "masked": 3, "images": 4}
        assert shard.params["initial"]["pixel_labels"] is False  # it did not start from any
    counts = []
    for shard_name in scenes.SHARDS:
        labels, index = tmp_path / "masks" / shard_name, tmp_path / "masks" / f"{shard_name}.jsonl"
        place = {"manifest": manifest, "split": "val"}
        one = {**place, "labels": labels, "index": index, "shard": shard_name}
        predict_masks.run(weights=weights, network=DEEPLAB, settings=INFERENCE, **one)
        counts.append(tmp_path / f"{shard_name}.safetensors")
        count_predictions.run(
            counts=counts[-1], labels=[labels], indexes=[index], shards=[shard_name], **place
        )
    evaluate_segmentation.run(
        manifest=manifest,
        counts=counts,
        segmenter_weights=weights,
        scores=tmp_path / "scores.json",
        inferences={"single": INFERENCE},
        main="single",
    )
    scores: dict[str, Any] = json.loads((tmp_path / "scores.json").read_text())
    assert scores["pixel_labels_used"] is True
    assert scores["training_supervision"] == {"segmenter": "true masks of the training images, 3 of 4"}
    assert scores["initial_supervision"] == {"segmenter": "image labels"}
    assert (scores["split"], scores["images"], scores["run"]) == ("val", 2, 1)


def test_pseudo_labels_leave_no_such_word(tmp_path: Path) -> None:
    manifest = scenes.make_manifest(tmp_path)
    data = read_manifest(manifest)
    pairs = [scenes.make_labels(tmp_path / "pseudo", data, "train", shard, {}) for shard in scenes.SHARDS]
    labels, indexes = ([pair[side] for pair in pairs] for side in (0, 1))
    with open_tensors(
        train(tmp_path / "out", manifest, {"labels": labels, "indexes": indexes}), "weights"
    ) as shard:
        assert "labels" not in shard.params


def test_without_masks_there_is_no_upper_bound(tmp_path: Path) -> None:
    manifest = scenes.make_manifest(tmp_path, masks=False)
    with pytest.raises(
        ArtefactError, match=r"manifest\.jsonl: expected training images with a mask, found none"
    ):
        copied(tmp_path / "truth", manifest)
    assert not (tmp_path / "truth").exists()


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    manifest = scenes.make_manifest(tmp_path)
    data = read_manifest(manifest)
    first = replace(data.records[0], height=9)
    write_manifest(manifest, replace(data, records=(first, *data.records[1:])))
    with pytest.raises(ArtefactError, match=r"0\.png: expected 12x9 pixels as its image, found 12x8"):
        copied(tmp_path / "truth", manifest)
