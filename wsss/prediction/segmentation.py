"""A trained segmentation network on pictures: the largest logits over scales and mirror images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Segmenter(Protocol):
    """What is asked of a segmentation network."""

    def logits(self, images: Tensor) -> Tensor:
        """Scores of the labels, (B, C+1, h, w), for images of any size, (B, 3, H, W)."""


@torch.inference_mode()
def best_logits(
    model: Segmenter, images: Tensor, stride: int, scales: Sequence[float], mirror: bool
) -> Tensor:
    """The largest logits over all scales and, if asked, their mirror images.

    Args:
        model: The segmentation network.
        images: Normalised images, (B, 3, H, W).
        stride: Pixels that a cell of the logits covers.
        scales: Factors by which the images are resized, bilinearly as in training's multi-scale loss.
        mirror: Look at the mirror image of each scale, too.

    Returns:
        Logits of the labels at the images' size, (B, C+1, H, W).
    """
    views = [(scale, flip) for scale in scales for flip in ((False, True) if mirror else (False,))]
    if not views:
        raise ValueError("scales: expected at least one")
    best = _logits(model, images, stride, *views[0])
    for view in views[1:]:
        best = torch.maximum(best, _logits(model, images, stride, *view))
    return best


def _logits(model: Segmenter, images: Tensor, stride: int, scale: float, flip: bool) -> Tensor:
    """Logits of one view at the images' size, (B, C+1, H, W), without those of the network's own padding."""
    size = [max(1, round(side * scale)) for side in images.shape[2:]]
    seen = resized(images, size)
    cells = model.logits(seen.flip(-1) if flip else seen).float()  # (B, C+1, h, w)
    enlarged = resized(cells, [side * stride for side in cells.shape[2:]])[..., : size[0], : size[1]]
    return resized(enlarged.flip(-1) if flip else enlarged, images.shape[2:])


def resized(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Images or maps at another size, bilinearly: (B, C, h, w) -> (B, C, H, W)."""
    if list(tensor.shape[2:]) == list(size):
        return tensor
    return F.interpolate(tensor, size=list(size), mode="bilinear", align_corners=False)
