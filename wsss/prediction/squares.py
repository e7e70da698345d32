"""Pictures as single-stage networks see them: each resized to one square, as in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wsss.artefacts.formats import Labels
from wsss.data.transforms import normalise, resize_square, to_tensor
from wsss.runtime.device import device
from wsss.single_stage.contract import Network


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


def check_side(model: Network, side: int) -> None:
    """Refuse a side that is no whole number of patches: its maps would not span the image."""
    if side < 1 or side % model.stride:
        raise ValueError(
            f"side: expected a multiple of the encoder's patches of {model.stride} pixels, found {side}"
        )
