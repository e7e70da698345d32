"""Counting pseudo labels against the truth."""

from pathlib import Path

import pytest

from tests.support import scenes
from wsss.artefacts.formats import ArtefactError, label_path, open_tensors, read_manifest, read_tensors
from wsss.stages.evaluate import count_pseudo


def run(folder: Path, shard: str, damage: str | None = None) -> Path:
    manifest = scenes.make_manifest(folder)
    params = {"settings": scenes.SETTINGS}
    labels, index = scenes.make_labels(folder / "pseudo", read_manifest(manifest), "train", shard, params)
    if damage:
        path = label_path(labels, damage)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    counts = folder / f"{shard}.safetensors"
    count_pseudo.run(manifest=manifest, labels=[labels], indexes=[index], counts=counts, shards=[shard])
    return counts


def test_counts_by_hand_with_void_counted_as_background(tmp_path: Path) -> None:
    tensors = read_tensors(run(tmp_path, "001of002"), "counts")
    # Image 1, a dog on the left half (47 pixels and a void one), of which a row of 6 is missed.
    assert tensors["counts"].tolist() == [[[48, 0, 0], [0, 0, 0], [6, 0, 41]]]
    assert tensors["images"].tolist() == [1]
    assert "thresholds" not in tensors


def test_params_are_those_of_the_labels(tmp_path: Path) -> None:
    with open_tensors(run(tmp_path, "000of002"), "counts") as shard:
        assert shard.params == {"split": "masked", "labels": {"settings": scenes.SETTINGS}}


def test_a_label_map_cut_in_half_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"000of002/a/2\.png"):
        run(tmp_path, "000of002", damage="a/2")
