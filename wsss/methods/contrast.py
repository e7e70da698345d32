"""Contrast of patches sure to show a class with each other and with patches sure not to (APC, 3.4)."""

import torch
from torch import Tensor

from wsss.methods.whole_batch import whole_batch


def patch_contrast(
    features: Tensor,
    scores: Tensor,
    tags: Tensor,
    *,
    high: float = 0.85,
    low: float = 0.15,
    lowest: bool = False,
) -> Tensor:
    """Draw a class's high patches together and push its low patches away from them (APC, Eq. 4 to 6).

    With the similarity S_ij = (1 + cos(F_i, F_j)) / 2, a class costs the mean of 1 - S over the ordered pairs
    of two different high patches plus the mean of S over the pairs of a high and a low patch; a mean over no
    pairs is 0. The loss is the mean over the classes present in an image, then over the images that have any,
    so that every such image counts alike. Gradients reach the features alone: scores only choose patches.

    By hand, for one class that scores 0.9, 0.9 and 0.1 on three patches, with features (1, 0), (0, 1) and
    (-1, 0): two high patches, one low. Between the high ones S = (1 + 0) / 2, both ways round: they cost
    1 - 1/2 = 1/2. To the low patch S = (1 - 1) / 2 = 0 from the first and (1 + 0) / 2 = 1/2 from the second:
    they cost (0 + 1/2) / 2 = 1/4. The loss is 3/4.

    No pair is ever formed: the cosines over all pairs of two sets of unit vectors sum to the product of the
    sets' sums, so time and memory grow with N and not with its square.

    Args:
        features: Patch features F, (B, N, D).
        scores: Probability of each foreground class on each patch, (B, N, C).
        tags: Which classes each image has, not 0 for those present, (B, C).
        high: Patches that score above are high.
        low: Patches that score below are low.
        lowest: A class's one lowest-scoring patch, the first among equals, is its low patch instead.
            A high patch is never a low one.

    Returns:
        A scalar; 0 where no image has a class.

    Raises:
        ValueError: For shapes that do not match.
    """
    _check(features, scores, tags)
    present = tags != 0
    sure = scores > high
    other = (_lowest(scores) if lowest else scores < low) & ~sure
    # sums over hundreds of patches need single precision
    with torch.autocast(features.device.type, enabled=False):
        cost = _costs(_at_least_single(features), sure & present[:, None], other & present[:, None])
    return _mean(*whole_batch(_mean(cost.sum(1), present.sum(1)).sum(), present.any(1).sum()))


def _costs(features: Tensor, sure: Tensor, other: Tensor) -> Tensor:
    """Cost of each class, (B, C); ``sure`` and ``other`` mark its high and low patches, bool (B, N, C)."""
    length = features.norm(dim=2, keepdim=True)  # (B, N, 1)
    nonzero = length > 0
    # a feature without length has no direction: its cosines are 0, and it gets no gradient
    scale = nonzero / length.clamp(min=torch.finfo(length.dtype).tiny)
    high, low = ((torch.cat([sure, other], dim=2) * scale).mT @ features).chunk(2, dim=1)  # (B, C, D)
    highs, lows = sure.sum(1), other.sum(1)
    alone = (sure & nonzero).sum(1)  # cosines of high patches with themselves, which are no pairs
    together = highs * (highs - 1)
    apart = highs * lows
    attraction = _mean((together - (high.square().sum(2) - alone)) / 2, together)
    repulsion = _mean((apart + (high * low).sum(2)) / 2, apart)
    return attraction + repulsion


def _mean(total: Tensor, count: Tensor) -> Tensor:
    """Total over count; 0 where nothing was counted."""
    return total * (count > 0) / count.clamp(min=1)


def _lowest(scores: Tensor) -> Tensor:
    """Mark each class's lowest score, bool (B, N, C)."""
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, scores.argmin(1, keepdim=True), True)


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _check(features: Tensor, scores: Tensor, tags: Tensor) -> None:
    if features.ndim != 3:
        raise ValueError(f"features: expected (B, N, D), found {tuple(features.shape)}")
    batch, patches = features.shape[:2]
    if scores.ndim != 3 or scores.shape[:2] != (batch, patches):
        raise ValueError(f"scores: expected (B, N, C) = ({batch}, {patches}, C), found {tuple(scores.shape)}")
    if tags.shape != (batch, scores.shape[2]):
        raise ValueError(f"tags: expected (B, C) = {(batch, scores.shape[2])}, found {tuple(tags.shape)}")
