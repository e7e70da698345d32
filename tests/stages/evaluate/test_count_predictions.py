"""Counting predictions against the truth."""

from pathlib import Path

import pytest

from tests.support import scenes
from wsss.artefacts.formats import open_tensors, read_manifest, read_tensors
from wsss.stages.evaluate import count_predictions

INFERENCE = {"scales": [1.0], "mirror": False, "crf": None}


def run(folder: Path, split: str, masks: bool = True) -> Path:
    manifest = scenes.make_manifest(folder, masks)
    params = {"settings": INFERENCE, "split": split}
    labels, index = scenes.make_labels(folder / "made", read_manifest(manifest), split, "000of001", params)
    counts = folder / "counts.safetensors"
    count_predictions.run(
        manifest=manifest, labels=[labels], indexes=[index], counts=counts, split=split, shards=["000of001"]
    )
    return counts


def test_counts_by_hand(tmp_path: Path) -> None:
    tensors = read_tensors(run(tmp_path, "val"), "counts")
    assert tensors["counts"].tolist() == [[[96, 0, 0], [6, 41, 0], [6, 0, 41]]]
    assert tensors["images"].tolist() == [2]


def test_params_name_split_and_inference(tmp_path: Path) -> None:
    with open_tensors(run(tmp_path, "val"), "counts") as shard:
        assert shard.params == {"split": "val", "inference": INFERENCE}


@pytest.mark.parametrize("split", ["val", "test"])
def test_without_masks_nothing_is_counted(split: str, tmp_path: Path) -> None:
    tensors = read_tensors(run(tmp_path, split, masks=False), "counts")
    assert tensors["images"].tolist() == [0]
    assert int(tensors["counts"].sum()) == 0
