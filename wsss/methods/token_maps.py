"""Class maps of a transformer's tokens over several scales and mirror images (ToCo)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def merge_scales(pairs: Sequence[tuple[Tensor, Tensor]], size: tuple[int, int]) -> Tensor:
    """Add the maps of several scales, of each the larger of image and mirror image, and spread over 0..1.

    By hand, for one scale with (-1, 3) and the mirror image's (5, 1), as the network saw it: turned back that
    is (1, 5), the larger values are (1, 5), and spread they are (0, 1).

    Args:
        pairs: The maps of each scale as the network saw it, upright and mirrored, (B, C, h_i, w_i) each.
        size: Height and width (h, w) that all are resized to, bilinearly.

    Returns:
        Maps from 0 to 1 of each image and class, 0 where one is constant, (B, C, h, w).

    Raises:
        ValueError: Without any scale.
    """
    if not pairs:
        raise ValueError("pairs: expected the maps of at least one scale")
    total = torch.stack(
        [torch.maximum(_at(one, size), _at(two.flip(-1), size)).relu() for one, two in pairs]
    ).sum(0)
    low, high = total.amin((2, 3), keepdim=True), total.amax((2, 3), keepdim=True)
    return (total - low) / (high - low).clamp(min=torch.finfo(total.dtype).tiny)


def _at(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)
