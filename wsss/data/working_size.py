"""The size at which an own data set's pictures are read: large photographs at a smaller one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]


def working_size(size: Size, long_side: int | None) -> Size:
    """Height and width at which a picture of ``size`` is read.

    Args:
        size: Its own height and width.
        long_side: Pixels that the longer of them has at most; None: any number.

    Returns:
        The size with the same shape, rounded; ``size`` itself where it is not too large.
    """
    if long_side is None or max(size) <= long_side:
        return size
    factor = long_side / max(size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def picture_at(picture: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """A picture, uint8 (H, W, 3), at another size, bicubically over all pixels that fall on one."""
    return _resized(picture, size, Image.Resampling.BICUBIC)


def labels_at(labels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """A label map, uint8 (H, W), at another size, each pixel that of the nearest."""
    return _resized(labels, size, Image.Resampling.NEAREST)


def _resized(array: NDArray[np.uint8], size: Size, how: Image.Resampling) -> NDArray[np.uint8]:
    if array.shape[:2] == size:
        return array
    return np.asarray(Image.fromarray(array).resize((size[1], size[0]), how))
