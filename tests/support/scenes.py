"""A tiny data set with known class maps, label maps and truth, for the tests of the evaluation stages."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsss.artefacts.formats import Manifest, Record, write_labels, write_manifest, write_mask, write_tensors

SIZE = (8, 12)
CLASSES = ("cat", "dog")
SHARDS = ("000of002", "001of002")
VIEWS = {"scales": [1.0, 0.5], "mirror": True, "stride": 4}
SETTINGS = {"threshold": 0.3, "crf": None}


def truth(label: int) -> np.ndarray:
    """Left half of one class, right half background, one void pixel."""
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :6] = label
    mask[0, 0] = 255
    return mask


def make_manifest(folder: Path, masks: bool = True) -> Path:
    """Four images of train and two of val; ids hold a slash; one image has no class and one no mask."""
    records = []
    for number, classes in enumerate([(0,), (1,), (), (0,), (0,), (1,)]):
        has_mask = masks and number != 3
        mask = folder / "masks" / f"{number}.png"
        if has_mask:
            write_mask(mask, truth(classes[0] + 1 if classes else 0))
        image = folder / "images" / f"{number}.png"
        write_mask(image, np.full(SIZE, number, np.uint8))
        splits: tuple[str, ...] = ("val",) if number > 3 else ("train", "masked") if has_mask else ("train",)
        records.append(
            Record(f"a/{number}", str(image), str(mask) if has_mask else None, *SIZE, classes, splits)
        )
    path = folder / "manifest.jsonl"
    write_manifest(path, Manifest("tiny", CLASSES, tuple(records)))
    return path


def make_maps(folder: Path, manifest: Manifest, shard: str, value: float = 0.5) -> Path:
    """Maps that are ``value`` on the left third and 0 elsewhere."""
    tensors = {}
    for record in manifest.shard("train", shard):
        maps = torch.zeros(len(record.classes), 2, 3, dtype=torch.float16)
        maps[:, :, 0] = value
        tensors[f"{record.id}/maps"] = maps
        tensors[f"{record.id}/classes"] = torch.tensor(record.classes, dtype=torch.int64)
    path = folder / f"{shard}.safetensors"
    write_tensors(path, "maps", tensors, {"stride": 4, "settings": {"kind": "cam"}, "views": VIEWS})
    return path


def make_labels(
    folder: Path, manifest: Manifest, split: str, shard: str, params: dict[str, Any]
) -> tuple[Path, Path]:
    """Label maps equal to the truth, but for a void top right pixel and a missed second row."""
    made = []
    for record in manifest.shard(split, shard):
        label = truth(record.classes[0] + 1 if record.classes else 0)
        label[0, 0] = label[1, :] = 0
        label[0, -1] = 255
        made.append((record.id, label))
    write_labels(folder / shard, folder / f"{shard}.jsonl", made, params)
    return folder / shard, folder / f"{shard}.jsonl"


def make_weights(folder: Path, role: str = "classifier", pixel_labels: bool = False, seed: int = 0) -> Path:
    """A weights artefact with provenance and nothing else of interest."""
    path = folder / f"{role}.safetensors"
    initial = {"file": f"{role}.pth", "supervision": f"labels for {role}", "pixel_labels": pixel_labels}
    params = {"initial": initial, "seed": seed, "classes": CLASSES}
    write_tensors(path, "weights", {"w": torch.zeros(1)}, params)
    return path
