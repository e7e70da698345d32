"""What ToCo's training sees of an image: all of it, two large parts, and where small parts may lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from wsss.single_stage.contract import Picture


def views_of(
    square: Picture, whole: int, least: float, part: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Draw the views of an image.

    Args:
        square: An image, resized to a square, uint8 (n, n, 3).
        whole: Side of the large parts, in pixels of what is seen.
        least: Smallest share of the image's area that they show.
        part: Side of the small parts, in pixels of the square.
        rng: Source of chance.

    Returns:
        ``images``, the square, mirrored in half of the cases; ``first`` and ``second``, large parts at random
        places, likewise mirrored, uint8 (whole, whole, 3); ``chance``, by which the small parts are chosen,
        see :func:`wsss.methods.crop_contrast.draw_corners`, float32 (n - part + 1, n - part + 1).
    """
    places = len(square) - part + 1
    return {
        "images": _mirrored(square, rng),
        "first": _large_part(square, whole, least, rng),
        "second": _large_part(square, whole, least, rng),
        "chance": torch.from_numpy(rng.random((places, places), dtype=np.float32)),
    }


def _large_part(square: Picture, side: int, least: float, rng: np.random.Generator) -> Picture:
    n = len(square)
    cut = n * float(np.sqrt(rng.uniform(least, 1)))
    top, left = rng.uniform(0, n - cut, size=2)
    box = (left, top, left + cut, top + cut)
    return _mirrored(
        np.array(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC, box)), rng
    )


def _mirrored(picture: Picture, rng: np.random.Generator) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1]) if rng.random() < 0.5 else picture
