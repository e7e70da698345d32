"""A small data set and its artefacts, for the tests of the stages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from wsss.artefacts.formats import Manifest, Record, write_manifest, write_tensors

CLASSES = ("cat", "dog", "owl")
SHARD = "000of001"
STATISTICS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
APC = {
    "model": "vit_tiny_patch16_224",
    "arguments": {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2},
    "blocks": [1, 2],
    "lstm": 4,
    "dropout": 0.2,
    "decoder": 8,
    "native_side": 32,
    **STATISTICS,
}


class Data(NamedTuple):
    """A data set on disk."""

    folder: Path
    manifest: Path
    records: tuple[Record, ...]

    def path(self, name: str) -> Path:
        return self.folder / name


def make_data(
    folder: Path,
    sizes: Sequence[tuple[int, int]] = ((40, 52), (40, 52), (37, 45), (44, 40)),
    classes: Sequence[tuple[int, ...]] = ((0,), (1, 2), (), (2,)),
) -> Data:
    """Write images of soft noise in which a bright square stands, and their manifest."""
    rng = np.random.default_rng(0)
    records = []
    for number, (size, present) in enumerate(zip(sizes, classes, strict=True)):
        image = rng.normal(90, 12, (*size, 3))
        image[8:24, 10:28] += 80
        path = folder / f"image{number}.png"
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
        name = f"part/{number}" if number == 1 else f"img{number}"
        records.append(Record(name, str(path), None, *size, present, ("train", "val")))
    write_manifest(folder / "manifest.jsonl", Manifest("toy", CLASSES, tuple(records)))
    return Data(folder, folder / "manifest.jsonl", tuple(records))


def write_weights(path: Path, network: nn.Module, classes: Sequence[str] = CLASSES) -> Path:
    """Write a network's state as a training stage does."""
    write_tensors(path, "weights", network.state_dict(), {"classes": list(classes)})
    return path


def write_maps(data: Data, path: Path, seed: int = 0) -> dict[str, Tensor]:
    """Write class maps with one peak a class; returns them."""
    tensors: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(seed)
    for record in data.records:
        height, width = -(-record.height // 4), -(-record.width // 4)
        maps = torch.rand(len(record.classes), height, width, generator=generator) * 0.2
        for row in range(len(record.classes)):
            maps[row, 2 : 6 - row, 3 + row : 7] = 1
        tensors[f"{record.id}/maps"] = maps.half()
        tensors[f"{record.id}/classes"] = torch.tensor(record.classes, dtype=torch.int64)
    write_tensors(path, "maps", tensors, {"stride": 4})
    return tensors


def random_attention(tokens: int, seed: int) -> Tensor:
    """A row-stochastic matrix, float32 (N, N)."""
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(tokens, tokens, generator=generator)).softmax(-1)


def folder_bytes(folder: Path) -> Mapping[str, Any]:
    """Every file of a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
