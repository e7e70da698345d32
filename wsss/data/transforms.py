"""Augmentation of training images: pure functions of arrays, with all chance in the generator passed in.

Images are uint8 (H, W, 3) until they are normalised, labels uint8 (H, W) or None. Images are resized
bicubically, labels by the nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss.methods.void import VOID

if TYPE_CHECKING:
    from torch import Tensor

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]


def _resize(array: Pixels, size: tuple[int, int], how: Image.Resampling) -> Pixels:
    if array.shape[:2] == size:
        return array
    return np.asarray(Image.fromarray(array).resize((size[1], size[0]), how))


def scaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Height and width of an image of ``size`` after :func:`rescale` by ``factor``."""
    height, width = size
    return max(1, round(height * factor)), max(1, round(width * factor))


def long_side_factor(size: tuple[int, int], long_side: int | None) -> float:
    """Factor that brings the long side of an image of ``size`` to ``long_side`` pixels; 1 for None."""
    return 1.0 if long_side is None else long_side / max(size)


def rescale(image: Pixels, factor: float) -> Pixels:
    """Resize an image to its rounded size times ``factor``, at least one pixel a side.

    Args:
        image: Picture, uint8 (H, W, 3).
        factor: Scale of both sides.

    Returns:
        Picture, uint8 (round(H * factor), round(W * factor), 3).
    """
    return _resize(image, scaled_size(image.shape[:2], factor), Image.Resampling.BICUBIC)


def resize_square(image: Pixels, side: int) -> Pixels:
    """Resize an image to a square, whatever its shape.

    Args:
        image: Picture, uint8 (H, W, 3).
        side: Side of the square in pixels.

    Returns:
        Picture, uint8 (side, side, 3).
    """
    return _resize(image, (side, side), Image.Resampling.BICUBIC)


def _rescale_both(image: Pixels, label: Pixels | None, factor: float) -> tuple[Pixels, Pixels | None]:
    size = scaled_size(image.shape[:2], factor)
    resized = None if label is None else _resize(label, size, Image.Resampling.NEAREST)
    return rescale(image, factor), resized


def random_rescale_long(
    image: Pixels, label: Pixels | None, low: int, high: int, rng: np.random.Generator
) -> tuple[Pixels, Pixels | None]:
    """Resize so that the long side gets a length drawn evenly from ``low`` to ``high``, both included.

    Args:
        image: Picture, uint8 (H, W, 3).
        label: Label map, uint8 (H, W), or None.
        low: Shortest long side in pixels.
        high: Longest long side in pixels.
        rng: Source of chance.

    Returns:
        Picture and label map of the new size.
    """
    return _rescale_both(image, label, int(rng.integers(low, high + 1)) / max(image.shape[:2]))


def random_scale(
    image: Pixels, label: Pixels | None, low: float, high: float, rng: np.random.Generator
) -> tuple[Pixels, Pixels | None]:
    """Resize by a factor drawn evenly from ``low`` to ``high``.

    Args:
        image: Picture, uint8 (H, W, 3).
        label: Label map, uint8 (H, W), or None.
        low: Smallest factor.
        high: Largest factor.
        rng: Source of chance.

    Returns:
        Picture and label map of the new size.
    """
    return _rescale_both(image, label, rng.uniform(low, high))


def random_flip(
    image: Pixels, label: Pixels | None, rng: np.random.Generator
) -> tuple[Pixels, Pixels | None]:
    """Mirror left and right in half of the cases.

    Args:
        image: Picture, uint8 (H, W, 3).
        label: Label map, uint8 (H, W), or None.
        rng: Source of chance.

    Returns:
        Picture and label map, both mirrored or neither.
    """
    if rng.random() < 0.5:
        return image, label
    return image[:, ::-1], None if label is None else label[:, ::-1]


def normalise(image: Pixels, mean: Sequence[float], std: Sequence[float]) -> Floats:
    """Scale colours to 0..1, subtract the mean and divide by the deviation of each channel.

    Args:
        image: Picture, uint8 (H, W, 3).
        mean: Mean of red, green and blue, on the scale 0..1.
        std: Deviation of red, green and blue, on the scale 0..1.

    Returns:
        Normalised picture, float32 (H, W, 3).
    """
    centre, deviation = (np.asarray(values, np.float64) for values in (mean, std))
    scale, shift = (1 / (255 * deviation)).astype(np.float32), (centre / deviation).astype(np.float32)
    return image.astype(np.float32) * scale - shift


def random_crop(
    image: Floats, label: Pixels | None, size: int, rng: np.random.Generator, label_fill: int = VOID
) -> tuple[Floats, Pixels | None]:
    """Cut a square out; an image that is shorter than it is laid into it at a random place.

    The rest is zero, which in a normalised image is the mean colour, and ``label_fill`` in the label map.

    Args:
        image: Normalised picture, float32 (H, W, 3).
        label: Label map, uint8 (H, W), or None.
        size: Side of the square in pixels.
        rng: Source of chance.
        label_fill: Label of what lies outside the image.

    Returns:
        Picture, float32 (size, size, 3), and label map, uint8 (size, size), or None.
    """
    places = [_place(side, size, rng) for side in image.shape[:2]]
    taken, laid = (tuple(place[which] for place in places) for which in (0, 1))
    square = np.zeros((size, size, 3), np.float32)
    square[laid] = image[taken]
    if label is None:
        return square, None
    labels = np.full((size, size), label_fill, np.uint8)
    labels[laid] = label[taken]
    return square, labels


def _place(side: int, size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Where to take from a side of the image, and where to lay it on the square's side."""
    offset = int(rng.integers(abs(side - size) + 1))
    length = min(side, size)
    inside, start = slice(offset, offset + length), slice(0, length)
    return (inside, start) if side > size else (start, inside)


def to_tensor(image: Floats) -> Tensor:
    """Turn a normalised picture, (H, W, 3), into a contiguous tensor, (3, H, W)."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
