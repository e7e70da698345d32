"""What the single-stage network says of images, each resized to one square as in its training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from wsss.artefacts.formats import Labels, Manifest, PathLike, Record, read_image
from wsss.artefacts.networks import load_network
from wsss.data.transforms import normalise, resize_square, to_tensor
from wsss.models.apc import APC, APCOutput, build_apc
from wsss.runtime.device import device


def apc_outputs(
    data: Manifest,
    records: Iterable[Record],
    weights: PathLike,
    network: Mapping[str, Any],
    side: int,
    *,
    decode: bool,
) -> Iterator[tuple[Record, APCOutput]]:
    """Run the network over images; it is loaded only when the first is asked for.

    Args:
        data: The data set that the network was trained on.
        records: The images.
        weights: The trained network.
        network: Its configuration, with ``mean`` and ``std``.
        side: Side in pixels of the square that each image is resized to, whatever its shape.
        decode: Whether the decoder is asked, too.

    Yields:
        Each record with the network's output on a batch of this one image, on this job's device.
    """
    model = load_network(build_apc(network, data.num_classes), weights, data)
    check_side(model, side)
    for record in records:
        with torch.inference_mode():
            output = model(squares(read_image(record)[None], network, side), decode=decode)
        yield record, output


def squares(pictures: Labels, network: Mapping[str, Any], side: int) -> Tensor:
    """Pictures as the network sees them, on this job's device.

    Args:
        pictures: Of one size, uint8 (B, H, W, 3).
        network: The network's configuration, with ``mean`` and ``std``.
        side: Of the square, in pixels.

    Returns:
        Normalised images, (B, 3, side, side).
    """
    mean, std = network["mean"], network["std"]
    resized = (resize_square(picture, side) for picture in pictures)
    return torch.stack([to_tensor(normalise(square, mean, std)) for square in resized]).to(device())


def check_side(model: APC, side: int) -> None:
    """Refuse a side that is no whole number of patches: its maps would not span the image."""
    if side < 1 or side % model.stride:
        raise ValueError(
            f"side: expected a multiple of the encoder's patches of {model.stride} pixels, found {side}"
        )


def on_grid(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """The patches of images as maps: (B, N, C) -> (B, C, h, w)."""
    return values.transpose(1, 2).unflatten(2, grid)
