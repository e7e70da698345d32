"""Pictures as single-stage networks see them: each resized to one square, as in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wsss.artefacts.formats import Labels
from wsss.data.transforms import normalise, resize_square, to_tensor
from wsss.runtime.device import device
from wsss.single_stage.contract import Network

if TYPE_CHECKING:
    from wsss.config.networks import Coloured


def squares(pictures: Labels, network: Coloured, side: int) -> Tensor:
    """Pictures as the network sees them, on this job's device.

    Args:
        pictures: Of one size, uint8 (B, H, W, 3).
        network: The network's settings.
        side: Of the square, in pixels.

    Returns:
        Normalised images, (B, 3, side, side).
    """
    resized = (resize_square(picture, side) for picture in pictures)
    return torch.stack([to_tensor(normalise(square, *network.colours)) for square in resized]).to(device())


def check_side(model: Network, side: int) -> None:
    """Refuse a side that is no whole number of patches: its maps would not span the image."""
    if side < 1 or side % model.stride:
        raise ValueError(
            f"side: expected a multiple of the encoder's patches of {model.stride} pixels, found {side}"
        )
