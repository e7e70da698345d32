"""Labels where class maps are sure, and unknown between two thresholds."""

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss.methods.patch_labels import Refine
from wsss.methods.void import VOID


@torch.no_grad()
def certain_labels(maps: Tensor, high: float, low: float) -> Tensor:
    """The strongest class above ``high``, background where none exceeds ``low``, unknown between.

    Args:
        maps: Class maps in [0, 1]; those of classes that an image does not show are 0, (B, C, h, w).
        high: Score that a sure object exceeds.
        low: Score that a sure background does not exceed, at most ``high``.

    Returns:
        0 for background, class + 1, or 255 for unknown, int64 (B, h, w); the lower class among equals.

    Raises:
        ValueError: If ``low`` exceeds ``high``.
    """
    if low > high:
        raise ValueError(f"low: expected at most high {high}, found {low}")
    peak, winner = maps.max(1)
    labels = torch.where(peak > high, winner + 1, VOID)
    return torch.where(peak <= low, 0, labels)


@torch.no_grad()
def refined_labels(
    images: Tensor, maps: Tensor, tags: Tensor, *, high: float, low: float, refine: Refine
) -> Tensor:
    """Certain labels of maps that are first refined on the picture.

    A background of one value everywhere stays what it is under the refinement, a mean over neighbours; so
    maps are refined once, and compared with two backgrounds. No more classes are refined than an image has.

    Args:
        images: Pictures, normalised or not, (B, 3, H, W).
        maps: See :func:`certain_labels`.
        tags: Which classes each image has, not 0 for those present, (B, C).
        high: See :func:`certain_labels`.
        low: See :func:`certain_labels`.
        refine: Refines maps on images, as :func:`wsss.methods.pamr.pamr`.

    Returns:
        Labels as of :func:`certain_labels`, int64 (B, H, W).
    """
    most = int((tags != 0).sum(1).max())
    if most == 0:
        return torch.zeros(len(images), *images.shape[2:], dtype=torch.int64, device=images.device)
    classes = (
        (tags != 0).long().argsort(stable=True, dim=1, descending=True)[:, :most]
    )  # present first, rising
    row = torch.arange(len(maps), device=maps.device)[:, None]
    shown = maps[row, classes] * (tags != 0)[row, classes, None, None]
    # resized here, as pamr would lay the outer cells' centres on the image's border
    enlarged = F.interpolate(shown, images.shape[2:], mode="bilinear", align_corners=False)
    labels = certain_labels(refine(images, enlarged), high, low)
    known = (labels != 0) & (labels != VOID)
    chosen = classes.gather(1, torch.where(known, labels - 1, 0).flatten(1)).view_as(labels)
    return torch.where(known, chosen + 1, labels)
