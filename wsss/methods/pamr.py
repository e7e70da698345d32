"""Pixel-adaptive mask refinement (Araslanov and Roth, 2020): masks follow the colours of the image."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

DILATIONS = (1, 2, 4, 8, 12, 24)
AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def pamr(
    image: Tensor, masks: Tensor, *, iterations: int = 10, dilations: Sequence[int] = DILATIONS
) -> Tensor:
    """Replace each pixel's mask values, again and again, by a mean over its neighbours of like colour.

    The neighbours are the eight around a pixel at each dilation; beyond the border the nearest pixel stands
    in. Their weights are the softmax of -|difference| / (0.1 * deviation), averaged over the colours; the
    deviation is that over the neighbourhood. To shift or scale a colour changes nothing, so the image may be
    normalised or not.

    Args:
        image: Image in floating point, (B, 3, H, W).
        masks: Soft masks of any number of classes, resized to the image bilinearly, corner on corner,
            (B, C, h, w).
        iterations: How often; 0 only resizes.
        dilations: Distances of the neighbours in pixels.

    Returns:
        Refined masks, (B, C, H, W); masks that sum to one over the classes still do.

    Raises:
        ValueError: For shapes that do not match, or without a dilation.
    """
    _check(image, masks, dilations)
    masks = F.interpolate(masks, image.shape[-2:], mode="bilinear", align_corners=True)
    weights = _weights(image, dilations).unsqueeze(2)  # (B, M, 1, H, W)
    for _ in range(iterations):
        neighbours = enumerate(_neighbours(masks, dilations))
        masks = sum((weights[:, i] * values for i, values in neighbours), torch.zeros_like(masks))
    return masks


def _weights(image: Tensor, dilations: Sequence[int]) -> Tensor:
    """Weights of the M = 8 * len(dilations) neighbours, which sum to one, (B, M, H, W)."""
    scale = 1e-8 + 0.1 * _deviation(image, dilations)
    affinity = [-((values - image).abs() / scale).mean(1) for values in _neighbours(image, dilations)]
    return torch.stack(affinity, dim=1).softmax(1)


def _deviation(image: Tensor, dilations: Sequence[int]) -> Tensor:
    """Unbiased standard deviation over the neighbours and, once a dilation, the pixel itself, (B, 3, H, W).

    The sums are of differences from the pixel. A ninth of them are its own zeros, so the variance is never
    less than an eighth of the squared mean, and the subtraction loses no precision.
    """
    total, squares = torch.zeros_like(image), torch.zeros_like(image)
    for values in _neighbours(image, dilations):
        difference = values - image
        total = total + difference
        squares = squares + difference.square()
    count = 9 * len(dilations)
    return ((squares - total.square() / count) / (count - 1)).sqrt()


def _neighbours(values: Tensor, dilations: Sequence[int]) -> Iterator[Tensor]:
    """Views of the values moved by each neighbour's offset, each of the same shape (B, C, H, W)."""
    height, width = values.shape[-2:]
    reach = max(dilations)
    padded = F.pad(values, (reach, reach, reach, reach), mode="replicate")
    for dilation in dilations:
        for dy, dx in AROUND:
            top, left = reach + dilation * dy, reach + dilation * dx
            yield padded[..., top : top + height, left : left + width]


def _check(image: Tensor, masks: Tensor, dilations: Sequence[int]) -> None:
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"image: expected (B, 3, H, W), found {tuple(image.shape)}")
    if masks.ndim != 4 or len(masks) != len(image):
        raise ValueError(f"masks: expected (B, C, h, w) with B = {len(image)}, found {tuple(masks.shape)}")
    if len(dilations) == 0 or min(dilations) < 1:
        raise ValueError(f"dilations: expected one or more from 1, found {tuple(dilations)}")
