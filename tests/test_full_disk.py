"""A full disk: one error that names the artefact, nothing half-written, and on it goes when there is room."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.builders import folder_bytes
from tests.support.small_disk import leave, small_disk
from wsss.artefacts.files import Unwritten
from wsss.artefacts.formats import Record, write_json, write_labels, write_tensors
from wsss.artefacts.shard_writer import Provenance, label_shard, tensor_shard

SIZE = 2**20
FULL = r"/{}: cannot be written \(No space left on device\); free disk space"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    with small_disk(tmp_path / "disk", SIZE) as place:
        yield place


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (200, 200), np.uint8)  # 40 kB, also as PNG


RECORDS = [Record(f"image{number}", "", None, 200, 200, (), ()) for number in range(8)]


class Shard:
    """Eight images of 40 kB each, as tensors or as label maps."""

    def __init__(self, inputs: Path, labels: bool) -> None:
        self.labels = labels
        self.made: list[str] = []
        self.input = inputs / "input"
        self.input.touch()

    def run(self, out: Path) -> None:
        provenance = Provenance("walk_cams", {}, {}, {"input": self.input})
        if self.labels:
            with label_shard(out / "shard", out / "shard.jsonl", RECORDS, provenance, "testing") as labels:
                for record in labels.missing:
                    labels.write(self._make(record))
        else:
            with tensor_shard({"maps": out / "shard"}, RECORDS, provenance, "testing") as tensors:
                for record in tensors.missing:
                    tensors.write({"maps": {record.id: torch.from_numpy(self._make(record))}})

    def _make(self, record: Record) -> np.ndarray:
        self.made.append(record.id)
        return noise(int(record.id[5:]))


@pytest.mark.parametrize("labels", [False, True], ids=["tensors", "labels"])
def test_a_shard_goes_on_when_there_is_room_again(disk: Path, tmp_path: Path, labels: bool) -> None:
    shard, undisturbed = Shard(tmp_path, labels), Shard(tmp_path, labels)
    undisturbed.run(tmp_path / "undisturbed")
    filler = leave(disk, 220_000)
    with pytest.raises(Unwritten, match=FULL.format("shard")):
        shard.run(disk / "out")
    assert 4 <= len(shard.made) <= 6
    assert not (disk / "out" / "shard").exists()
    assert not [name for name in folder_bytes(disk) if name.endswith(".tmp")]
    filler.unlink()
    shard.run(disk / "out")
    assert len(shard.made) == len(RECORDS) + 1  # once more the one that found no room
    assert folder_bytes(disk / "out") == folder_bytes(tmp_path / "undisturbed")


def test_room_for_the_parts_but_not_for_the_whole(disk: Path, tmp_path: Path) -> None:
    shard = Shard(tmp_path, labels=False)
    filler = leave(disk, 500_000)
    with pytest.raises(Unwritten, match=FULL.format("shard")):
        shard.run(disk / "out")
    assert not (disk / "out" / "shard").exists()
    filler.unlink()
    shard.run(disk / "out")
    assert len(shard.made) == len(RECORDS)
    assert os.listdir(disk / "out") == ["shard"]


def test_every_artefact_is_whole_or_absent(disk: Path) -> None:
    leave(disk, 100_000)
    with pytest.raises(Unwritten, match=FULL.format("weights")):
        write_tensors(disk / "weights", "weights", {"w": torch.rand(50_000)})
    with pytest.raises(Unwritten, match=FULL.format("labels")):
        write_labels(disk / "labels", disk / "labels.jsonl", ((str(seed), noise(seed)) for seed in range(5)))
    with pytest.raises(Unwritten, match=FULL.format("scores")):
        write_json(disk / "scores", {"scores": "x" * 200_000})
    assert os.listdir(disk) == ["filler"]


def test_a_folder_that_finds_no_room_is_told_plainly(disk: Path) -> None:
    leave(disk, 0)
    with pytest.raises(Unwritten, match=FULL.format("scores")):
        write_json(disk / "deeper" / "scores", {"scores": "x" * 10_000})
