"""Attention of a transformer's blocks as relations between patches (AD-CAM, section 3.2)."""

import torch
from torch import Tensor


def aggregate_attention(attention: Tensor, *, per_block: bool = True) -> Tensor:
    """Average the patches' attention to each other over the blocks; every row sums to one.

    The class token's row and column are dropped, so what a patch gave to the class token is shared out again.

    Args:
        attention: Attention after softmax, averaged over heads, class token first, (L, N+1, N+1).
        per_block: Renormalise the rows of each block before the mean; otherwise once, after it.

    Returns:
        Attention among patches A, (N, N).
    """
    patches = _checked(attention)[:, 1:, 1:]
    if not per_block:
        return normalise_rows(patches.mean(0))
    total = torch.zeros_like(patches[0])
    for block in patches:  # one by one: their copy would take as much memory as all blocks
        total += normalise_rows(block)
    return total / len(patches)


def class_attention(attention: Tensor) -> Tensor:
    """Sum over blocks of the class token's attention to the patches (TS-CAM, Eq. 4).

    Args:
        attention: As for :func:`aggregate_attention`, (L, N+1, N+1).

    Returns:
        Attention of the class token, (N,).
    """
    return _checked(attention)[:, 0, 1:].sum(0)


def normalise_rows(matrix: Tensor) -> Tensor:
    """Divide each row of (..., N, N) by its sum; a row of zeros stays zero."""
    return matrix / matrix.sum(-1, keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny)


def _checked(attention: Tensor) -> Tensor:
    if attention.ndim != 3 or attention.shape[1] != attention.shape[2] or attention.shape[1] < 2:
        raise ValueError(f"attention: expected (L, N+1, N+1), found {tuple(attention.shape)}")
    return attention
