"""Losses of a segmentation network on label maps with unknown pixels, at one scale or several."""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.methods.void import VOID
from wsss.methods.whole_batch import whole_batch


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize label maps by taking the nearest pixel's label, with Pillow's choice of the nearest.

    Args:
        labels: Label maps, (..., H, W).
        size: Wanted height and width, in this order.

    Returns:
        Label maps, (..., height, width).
    """
    rows, columns = (
        (2 * torch.arange(new, device=labels.device) + 1) * old // (2 * new)
        for new, old in zip(size, labels.shape[-2:], strict=True)
    )
    return labels[..., rows[:, None], columns]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the known pixels; 0 where none is known.

    Args:
        logits: Class scores, (B, C, h, w).
        labels: Labels 0..C-1, 255 for unknown, (B, h, w).

    Returns:
        A scalar.
    """
    return _mean_over(_pixelwise(logits, labels), labels != VOID)


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of the background's and the foreground's cross-entropy; an empty half contributes 0.

    Args:
        logits: Class scores, background first, (B, C, h, w).
        labels: Labels 0..C-1, 255 for unknown, (B, h, w).

    Returns:
        A scalar.
    """
    loss = _pixelwise(logits, labels)
    background = _mean_over(loss, labels == 0)
    foreground = _mean_over(loss, (labels != 0) & (labels != VOID))
    return (background + foreground) / 2


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "balanced": balanced_cross_entropy,
}


def strongest_scale(pyramid: Sequence[Tensor]) -> Tensor:
    """Largest logit over the scales, on the grid of the first.

    Args:
        pyramid: Logits of one image at several scales, each (B, C, h_i, w_i).

    Returns:
        (B, C, h_0, w_0).
    """
    size = pyramid[0].shape[-2:]
    resized = [F.interpolate(logits, size, mode="bilinear", align_corners=False) for logits in pyramid[1:]]
    return torch.stack([pyramid[0], *resized]).amax(0)


def _pixelwise(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.shape[:1] + logits.shape[2:] != labels.shape:
        raise ValueError(
            f"labels: expected (B, h, w) of logits {tuple(logits.shape)}, found {tuple(labels.shape)}"
        )
    return F.cross_entropy(logits, labels.long(), ignore_index=VOID, reduction="none")


def _mean_over(loss: Tensor, chosen: Tensor) -> Tensor:
    total, count = whole_batch((loss * chosen).sum(), chosen.sum())
    return total / count.clamp(min=1)
