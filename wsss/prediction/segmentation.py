"""A trained segmentation network on one picture: probabilities over scales and mirror images."""

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
def predict(model: Segmenter, image: Tensor, stride: int, scales: Sequence[float], mirror: bool) -> Tensor:
    """Probabilities from the largest logits over all scales and, if asked, their mirror images.

    Args:
        model: The segmentation network.
        image: Normalised image, (3, H, W).
        stride: Pixels that a cell of the logits covers.
        scales: Factors by which the image is resized, bilinearly as in training's multi-scale loss.
        mirror: Look at the mirror image of each scale, too.

    Returns:
        Probabilities of the labels, (C+1, H, W).
    """
    views = [(scale, flip) for scale in scales for flip in ((False, True) if mirror else (False,))]
    if not views:
        raise ValueError("scales: expected at least one")
    best = _logits(model, image, stride, *views[0])
    for view in views[1:]:
        best = torch.maximum(best, _logits(model, image, stride, *view))
    return best.softmax(0)


def _logits(model: Segmenter, image: Tensor, stride: int, scale: float, flip: bool) -> Tensor:
    """Logits of one view at the image's size, (C+1, H, W), without those of the network's own padding."""
    size = [max(1, round(side * scale)) for side in image.shape[1:]]
    seen = _resize(image[None], size)
    cells = model.logits(seen.flip(-1) if flip else seen).float()  # (1, C+1, h, w)
    enlarged = _resize(cells, [side * stride for side in cells.shape[2:]])[..., : size[0], : size[1]]
    whole = _resize(enlarged.flip(-1) if flip else enlarged, image.shape[1:])
    return whole[0]


def _resize(tensor: Tensor, size: Sequence[int]) -> Tensor:
    if list(tensor.shape[2:]) == list(size):
        return tensor
    return F.interpolate(tensor, size=list(size), mode="bilinear", align_corners=False)
