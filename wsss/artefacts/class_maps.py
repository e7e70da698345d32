"""Reading class maps, in the one form that every method writes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.formats import ArrayShard, ArtefactError, Record, TensorShard

if TYPE_CHECKING:  # seconds of every start, for the few that compute with tensors
    from torch import Tensor

MAP_STRIDE = 4  # image pixels a cell of a stored class map covers


class ImageMaps(NamedTuple):
    """Class maps, float16 (K, h, w), on their way to a worker process: arrays travel, not tensors."""

    record: Record
    maps: NDArray[np.float16]

    def upsampled(self) -> NDArray[np.float32]:
        """Scores at the image's size, (K, H, W)."""
        import torch

        from wsss.methods.cam import upsample_maps

        maps = torch.from_numpy(self.maps).float()
        scores: NDArray[np.float32] = upsample_maps(maps, MAP_STRIDE, size_of(self.record)).numpy()
        return scores


def size_of(record: Record) -> tuple[int, int]:
    """Height and width of an image, in pixels."""
    return record.height, record.width


def grid_size(record: Record) -> tuple[int, int]:
    """Height and width of a stored map of an image."""
    return math.ceil(record.height / MAP_STRIDE), math.ceil(record.width / MAP_STRIDE)


def half(tensor: Tensor, record: Record) -> Tensor:
    """What a network found on an image in the form it is stored in, float16; it must be finite."""
    if not bool(tensor.isfinite().all()):
        raise ArtefactError(
            f"{record.image}: the network's maps are not finite numbers; its training diverged, "
            "train it with a lower rate"
        )
    largest = float(np.finfo(np.float16).max)
    if tensor.numel() and (found := float(tensor.abs().max())) > largest:
        raise ArtefactError(
            f"{record.image}: expected maps up to {largest:.0f}, all that float16 holds, found {found:.3g}; "
            "attention diffusion in the direction literal may grow with each step: lower the classifier's "
            "views.attention_steps"
        )
    return tensor.half().cpu()


def check_classes(shard: TensorShard | ArrayShard, record: Record) -> None:
    """Refuse a shard whose classes of an image, int64 (K,), are not the manifest's."""
    classes = shard.get(f"{record.id}/classes").tolist()
    if classes != list(record.classes):
        raise ArtefactError(
            f"{shard.path}: image {record.id!r}: expected classes {list(record.classes)} as in the manifest, "
            f"found {classes}; remove it and run again"
        )


def read_maps(shard: ArrayShard, record: Record) -> NDArray[np.float16]:
    """An image's class maps, float16 (K, h, w), checked against its record."""
    check_classes(shard, record)
    maps: NDArray[np.float16] = shard.get(f"{record.id}/maps")
    expected = (len(record.classes), *grid_size(record))
    if maps.shape != expected:
        raise ArtefactError(
            f"{shard.path}: image {record.id!r}: expected maps {expected}, found {maps.shape}; "
            "remove it and run again"
        )
    return maps


def stream_maps(shard: ArrayShard, records: Iterable[Record]) -> Iterator[ImageMaps]:
    """The maps of several images, one after the other, for :func:`wsss.runtime.process_pool.parallel_map`."""
    for record in records:
        yield ImageMaps(record, read_maps(shard, record))
