"""Contrast of a transformer's patch tokens by the labels of an earlier block (ToCo)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from wsss.methods.void import VOID
from wsss.methods.whole_batch import whole_batch


def token_contrast(tokens: Tensor, labels: Tensor) -> Tensor:
    """Draw tokens of one label together and push tokens of different labels apart.

    With s = |cos(t_i, t_j)| of the tokens of one image, the loss is (1 - P + N) / 2: P is the sum of s over
    the pairs of one label, divided by their number and 1 more, N likewise over the pairs of different labels.
    Pairs are ordered, no token is a pair with itself, and tokens of unknown label are in no pair. All pairs
    of the batch count alike.

    By hand, for tokens (1, 0), (1, 0) and (0, 1) of labels 0, 0 and 1: two pairs of one label with s = 1, so
    P = 2/3, and four of different labels with s = 0: the loss is 1/6. The 1 keeps it from 0, and is lost
    among the pairs of a real grid.

    Args:
        tokens: Patch tokens, (B, N, D).
        labels: Labels of the tokens, 255 for unknown, (B, N).

    Returns:
        A scalar from 0 to 1; 1/2 without any pair.

    Raises:
        ValueError: For shapes that do not match.
    """
    if tokens.ndim != 3 or labels.shape != tokens.shape[:2]:
        found = f"{tuple(tokens.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"tokens and labels: expected (B, N, D) and (B, N), found {found}")
    unit = F.normalize(tokens, dim=2)
    likeness = (unit @ unit.mT).abs()  # (B, N, N)
    same, other = _pairs(labels)
    half = _mean(tokens.new_full((len(tokens),), 0.5))  # shared by the processes that share a batch, too
    return half + (_smoothed_mean(likeness, other) - _smoothed_mean(likeness, same)) / 2


def _pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mark the pairs of one label and those of different labels, bool (B, N, N) each."""
    known = labels != VOID
    both = known[:, :, None] & known[:, None]
    equal = labels[:, :, None] == labels[:, None]
    itself = torch.eye(labels.shape[1], dtype=torch.bool, device=labels.device)
    return both & equal & ~itself, both & ~equal


def _smoothed_mean(values: Tensor, chosen: Tensor) -> Tensor:
    total, count = whole_batch((values * chosen).sum(), chosen.sum())
    return total / (count + 1)


def _mean(values: Tensor) -> Tensor:
    total, count = whole_batch(values.sum(), torch.tensor(len(values), device=values.device))
    return total / count
