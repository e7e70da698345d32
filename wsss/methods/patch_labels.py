"""Pixel labels from patch scores, which teach a segmentation decoder (APC, section 3.2)."""

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.methods.segmentation_loss import resize_labels

Refine: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # of images and maps, as wsss.methods.pamr.pamr


@torch.no_grad()
def patch_labels(
    scores: Tensor,
    tags: Tensor,
    grid: tuple[int, int],
    size: tuple[int, int],
    refine: Refine | None = None,
    images: Tensor | None = None,
) -> Tensor:
    """Give each pixel its patch's strongest class among the background and the classes the image has.

    Args:
        scores: Probability of each class on each patch, background first, (B, N, C + 1).
        tags: Which foreground classes each image has, not 0 for those present, (B, C).
        grid: Height and width (h, w) of the grid of patches, h * w = N.
        size: Height and width (H, W) of the label maps.
        refine: Refines the scores interpolated between the patches' centres on the images; None for the
            nearest patch's label.
        images: The images to refine by, normalised or not, at any size, (B, 3, H', W').

    Returns:
        Labels, 0 for background, the lower label among equals, int64 (B, H, W).

    Raises:
        ValueError: For shapes that do not match, or to refine without images.
    """
    _check(scores, tags, grid)
    maps = scores.mT.unflatten(2, grid)  # (B, C + 1, h, w)
    allowed = F.pad(tags != 0, (1, 0), value=True)  # (B, C + 1)
    if refine is None:
        return resize_labels(_strongest(maps, allowed), size)
    if images is None or images.ndim != 4:
        found = None if images is None else tuple(images.shape)
        raise ValueError(f"images: expected (B, 3, H', W') to refine by, found {found}")
    return _refined(maps, allowed, F.interpolate(images, size, mode="bilinear", align_corners=True), refine)


def _refined(maps: Tensor, allowed: Tensor, images: Tensor, refine: Refine) -> Tensor:
    """Strongest class after refining, int64 (B, H, W); of absent classes no more are refined than must be."""
    most = int(allowed.sum(1).max())
    classes = allowed.long().argsort(stable=True, dim=1, descending=True)[:, :most]  # allowed first, rising
    row = torch.arange(len(maps), device=maps.device)[:, None]
    # resized here, as pamr would lay the outer patches' centres on the image's border
    scores = F.interpolate(maps[row, classes], images.shape[-2:], mode="bilinear", align_corners=False)
    winner = _strongest(refine(images, scores), allowed.gather(1, classes))
    return classes.gather(1, winner.flatten(1)).view_as(winner)


def _strongest(maps: Tensor, allowed: Tensor) -> Tensor:
    """Index of the highest of the allowed maps, int64 (B, h, w)."""
    return maps.masked_fill(~allowed[:, :, None, None], -torch.inf).argmax(1)


def _check(scores: Tensor, tags: Tensor, grid: tuple[int, int]) -> None:
    patches = grid[0] * grid[1]
    if scores.ndim != 3 or scores.shape[1] != patches:
        raise ValueError(
            f"scores: expected (B, N, C + 1) with N = {patches} patches, found {tuple(scores.shape)}"
        )
    expected = (len(scores), scores.shape[2] - 1)
    if tags.shape != expected:
        raise ValueError(f"tags: expected (B, C) = {expected}, found {tuple(tags.shape)}")
