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
    size, best = images.shape[2:], None
    for scale, flip in views:
        shown = resized(images, [max(1, round(side * scale)) for side in size])
        cells = model.logits(shown.flip(-1) if flip else shown).float()  # (B, C+1, h, w)
        logits = resized(_enlarged(cells, stride, shown.shape[2:], flip), size)
        best = logits if best is None else torch.maximum(best, logits)
    assert best is not None
    return best


def _enlarged(cells: Tensor, stride: int, size: Sequence[int], flip: bool) -> Tensor:
    """Logits of a view at its own size, turned back, without those of the network's own padding."""
    enlarged = resized(cells, [side * stride for side in cells.shape[2:]])[..., : size[0], : size[1]]
    return enlarged.flip(-1) if flip else enlarged


def resized(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """Images or maps at another size, bilinearly: (B, C, h, w) -> (B, C, H, W)."""
    if list(tensor.shape[2:]) == list(size):
        return tensor
    return F.interpolate(tensor, size=list(size), mode="bilinear", align_corners=False)
