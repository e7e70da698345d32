"""The two views of an image that ViT-PCM compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from wsss.methods.equivariance import turned
from wsss.single_stage.contract import Picture

if TYPE_CHECKING:
    from wsss.single_stage.vit_pcm import Second

FIRST = (0.5, 0.5, 0.5)  # probability of each step of a turn, see wsss.methods.equivariance.STEPS
SECOND = (0.0, 0.5, 0.5)  # is never transposed
COLOURS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def two_views(square: Picture, colour: float, second: Second, rng: np.random.Generator) -> dict[str, Any]:
    """Draw both views, and what leads from one to the other.

    Args:
        square: An image, resized to a square, uint8 (n, n, 3).
        colour: How far brightness, contrast and saturation of the first view go from 1 at most.
        second: The second view's sides and how often it shows a part of the image.
        rng: Source of chance.

    Returns:
        ``images``, the first view, uint8 (n, n, 3), and ``turns``, how it was turned, bool (3,); ``second``,
        the second, uint8 (side, side, 3), ``second_turns``, and ``boxes``, the part of the image that it
        shows: top, left and side in parts of the image's side, float32 (3,).
    """
    turns, second_turns = _turns(FIRST, rng), _turns(SECOND, rng)
    top, left, side = _box(len(square), second.crop, second.probability, rng)
    whole = Image.fromarray(square)
    part = whole.resize(
        (second.side, second.side), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
    )
    return {
        "images": _turned(_coloured(whole, colour, rng), turns),
        "turns": turns,
        "second": _turned(part, second_turns),
        "second_turns": second_turns,
        "boxes": torch.tensor([top, left, side]) / len(square),
    }


def _turns(probabilities: Sequence[float], rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.random(len(probabilities)) < probabilities)


def _box(whole: int, crop: int, probability: float, rng: np.random.Generator) -> tuple[int, int, int]:
    """Top, left and side of the part that is shown, pixels."""
    if rng.random() >= probability:
        return 0, 0, whole
    top, left = rng.integers(whole - crop + 1, size=2)
    return int(top), int(left), crop


def _coloured(image: Image.Image, most: float, rng: np.random.Generator) -> Image.Image:
    for enhance in COLOURS:
        image = enhance(image).enhance(rng.uniform(1 - most, 1 + most))
    return image


def _turned(image: Image.Image, turns: Tensor) -> Picture:
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]  # (1, 3, n, n)
    return turned(planes, turns[None])[0].permute(1, 2, 0).contiguous().numpy()
