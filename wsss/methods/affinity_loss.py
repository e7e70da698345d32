"""What IRNet learns from: pairs of nearby pixels with equal or different labels (IRN, section 4.3).

A batch of 32 crops of 512 pixels at radius 10 makes 64 million pairs (152 directions of 13,090 sources each).
They take about 2.5 GB, 38 bytes a pair, in forward and backward pass: the cells on the paths, 14 a pair on
average, are never held together.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from wsss.methods.affinity import index_pairs, path_max, search_paths
from wsss.methods.segmentation_loss import resize_labels
from wsss.methods.void import VOID
from wsss.methods.whole_batch import whole_batch

# keeps logarithms finite and makes a half without pairs contribute nothing, as in the published training
EPSILON = 1e-5


class PairLabels(NamedTuple):
    """Which pairs share the background, share a foreground class, or differ; unknown pixels are in none.

    Attributes:
        background: Pairs of two background pixels, bool (B, D, n).
        foreground: Pairs of two pixels of one foreground class, bool (B, D, n).
        different: Pairs of two known pixels with different labels, bool (B, D, n).
    """

    background: Tensor
    foreground: Tensor
    different: Tensor


class AffinityTerms(NamedTuple):
    """Mean losses over the three kinds of pairs, scalars."""

    background: Tensor
    foreground: Tensor
    different: Tensor


class DisplacementTerms(NamedTuple):
    """Mean absolute errors of the displacements over the two kinds of equal pairs, scalars."""

    background: Tensor
    foreground: Tensor


def pair_labels(labels: Tensor, radius: int) -> PairLabels:
    """Compare the labels of all pairs in reach, in the order of ``path_max``.

    Args:
        labels: Label maps, 0 background, 255 unknown, (B, h, w).
        radius: Reach of the pairs in cells.

    Returns:
        Masks over the pairs.
    """
    sources, targets = index_pairs(labels, radius)
    flat = labels.flatten(1)
    source, target = flat[:, sources[0]][:, None], flat[:, targets]  # (B, 1, n), (B, D, n)
    known = (source != VOID) & (target != VOID)
    equal = known & (source == target)
    return PairLabels(equal & (source == 0), equal & (source != 0), known & ~equal)


def affinity_terms(edge_logits: Tensor, pairs: PairLabels, radius: int) -> AffinityTerms:
    """Cross-entropy of the affinities, one minus the strongest boundary on the path, by kind of pair.

    Args:
        edge_logits: Boundary logits, (B, 1, h, w).
        pairs: Masks from :func:`pair_labels`.
        radius: Reach of the pairs in cells.

    Returns:
        Mean losses.
    """
    boundary = path_max(torch.sigmoid(_at_least_single(edge_logits))[:, 0], radius)  # (B, D, n)
    wanted = torch.where(pairs.different, boundary, 1 - boundary)
    loss = -torch.log(wanted + EPSILON)
    return AffinityTerms(*(_mean_over(loss, kind) for kind in pairs))


def displacement_terms(displacement: Tensor, pairs: PairLabels, radius: int) -> DisplacementTerms:
    """Errors of the displacement field: two pixels of an object point to one centre, the background nowhere.

    Args:
        displacement: Displacements (dy, dx) in cells, (B, 2, h, w).
        pairs: Masks from :func:`pair_labels`.
        radius: Reach of the pairs in cells.

    Returns:
        Mean absolute errors over pairs and both axes.
    """
    displacement = _at_least_single(displacement)
    sources, targets = index_pairs(displacement, radius)
    flat = displacement.flatten(2)  # (B, 2, h * w)
    end = flat.index_select(2, targets.flatten()).unflatten(2, targets.shape)  # (B, 2, D, n)
    difference = flat[:, :, sources[0]][:, :, None] - end
    offset = search_paths(radius).directions.to(displacement).t()[None, :, :, None]  # (1, 2, D, 1)
    return DisplacementTerms(
        _mean_over(difference.abs(), pairs.background[:, None].expand_as(difference)),
        _mean_over((difference - offset).abs(), pairs.foreground[:, None].expand_as(difference)),
    )


def affinity_loss(edge_logits: Tensor, labels: Tensor, radius: int = 10) -> Tensor:
    """Mean of the positive and the negative pairs' loss; the positive one is the mean of its two halves.

    Args:
        edge_logits: Boundary logits, (B, 1, h, w).
        labels: Label maps on the same grid, 0 background, 255 unknown, (B, h, w).
        radius: Reach of the pairs in cells.

    Returns:
        A scalar; a kind without pairs contributes 0.
    """
    _check_grid(edge_logits, labels, 1)
    terms = affinity_terms(edge_logits, pair_labels(labels, radius), radius)
    return ((terms.background + terms.foreground) / 2 + terms.different) / 2


def displacement_loss(displacement: Tensor, labels: Tensor, radius: int = 10) -> Tensor:
    """Mean of the foreground's and the background's displacement error.

    Args:
        displacement: Displacements (dy, dx) in cells, (B, 2, h, w).
        labels: Label maps on the same grid, 0 background, 255 unknown, (B, h, w).
        radius: Reach of the pairs in cells.

    Returns:
        A scalar; a kind without pairs contributes 0.
    """
    _check_grid(displacement, labels, 2)
    terms = displacement_terms(displacement, pair_labels(labels, radius), radius)
    return (terms.background + terms.foreground) / 2


def irn_losses(
    edge_logits: Tensor, displacement: Tensor | None, labels: Tensor, radius: int = 10
) -> dict[str, Tensor]:
    """Losses of both heads, whose sum IRNet minimises.

    Args:
        edge_logits: Boundary logits, (B, 1, h, w).
        displacement: Displacements, (B, 2, h, w); None for a network without that head.
        labels: Label maps at any resolution, 0 background, 255 unknown, (B, H, W).
        radius: Reach of the pairs in cells.

    Returns:
        ``loss_affinity`` and, with a displacement, ``loss_displacement``; scalars.
    """
    height, width = edge_logits.shape[-2:]
    reduced = resize_labels(labels, (height, width))
    losses = {"loss_affinity": affinity_loss(edge_logits, reduced, radius)}
    if displacement is not None:
        losses["loss_displacement"] = displacement_loss(displacement, reduced, radius)
    return losses


def _at_least_single(values: Tensor) -> Tensor:
    """Widen half precision, which cannot tell 1 + EPSILON from 1, nor count beyond 65,504 pairs."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _mean_over(loss: Tensor, chosen: Tensor) -> Tensor:
    total, count = whole_batch((loss * chosen).sum(), chosen.sum())
    return total / (count.to(loss.dtype) + EPSILON)


def _check_grid(values: Tensor, labels: Tensor, channels: int) -> None:
    batch, *grid = labels.shape
    if values.shape != (batch, channels, *grid):
        raise ValueError(
            f"expected values (B, {channels}, h, w) and labels (B, h, w), "
            f"found {tuple(values.shape)} and {tuple(labels.shape)}"
        )
