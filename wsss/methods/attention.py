"""A transformer's attention or features as relations between patches (AD-CAM, section 4.2; ProxyCLIP)."""

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS = 1024  # rows of the similarity matrix held at a time: bounds memory, changes no more than rounding


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


def transcam(maps: Tensor, attention: Tensor) -> Tensor:
    """Gather maps along the attention summed over blocks, each block's rows as they are (TransCAM).

    The class token is dropped and its share is not given out again.

    Args:
        maps: Raw class maps, (K, N).
        attention: As for :func:`aggregate_attention`, (L, N+1, N+1).

    Returns:
        sum_q (sum_l A_l[p, q]) M(q), which may be negative, (K, N).
    """
    tokens = _checked(attention).shape[1] - 1
    if maps.ndim != 2 or maps.shape[1] != tokens:
        raise ValueError(f"maps: expected (K, N) with N = {tokens}, found {tuple(maps.shape)}")
    columns = F.pad(maps, (1, 0)).t()  # (N+1, K), nothing comes from the class token
    gathered = torch.stack([block @ columns for block in attention]).sum(0)  # whole blocks: no copy of them
    return gathered[1:].t()


def feature_affinity(features: Tensor, *, beta: float, gamma: float) -> Tensor:
    """Relations between patches by how alike their features are: A = softmax_j gamma (S_ij - beta mean S).

    S is the cosine similarity, and what is less alike than ``beta`` times the mean of S over all pairs is
    masked, as ProxyCLIP does (Lan et al., ECCV 2024). A row that keeps nothing becomes the identity row. It
    is a patch without features, all zeros, or else every patch of an image: S_ii = 1 is the largest of its
    row, so it is masked where mean S > 1 / beta, and then all rows are.

    Args:
        features: Patch tokens of the last block, (N, D).
        beta: Share of the mean similarity below which pairs are masked; ProxyCLIP's is 1.2.
        gamma: Steepness; ProxyCLIP's is 3.

    Returns:
        Row-stochastic affinity A, (N, N); beside it a block of :data:`ROWS` rows is held.
    """
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features: expected (N, D), found {tuple(features.shape)}")
    unit = F.normalize(features, dim=1)
    floor = beta * unit.mean(0).square().sum()  # the mean of all dot products is that of the mean with itself
    blocks = [_affinity_rows(unit, start, floor, gamma) for start in range(0, len(unit), ROWS)]
    return torch.cat(blocks)


def _affinity_rows(unit: Tensor, start: int, floor: Tensor, gamma: float) -> Tensor:
    """Rows of :func:`feature_affinity` from token ``start`` on, (R, N), of features of length 1."""
    excess = unit[start : start + ROWS] @ unit.t() - floor
    own = torch.arange(start, start + len(excess), device=unit.device)[:, None]
    empty = (excess < 0).all(1, keepdim=True)
    excess = excess.scatter(1, own, torch.where(empty, 0, excess.gather(1, own)))
    return (gamma * excess).masked_fill(excess < 0, -torch.inf).softmax(1)


def normalise_rows(matrix: Tensor) -> Tensor:
    """Divide each row of (..., N, N) by its sum; a row of zeros stays zero."""
    return matrix / matrix.sum(-1, keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny)


def _checked(attention: Tensor) -> Tensor:
    if attention.ndim != 3 or attention.shape[1] != attention.shape[2] or attention.shape[1] < 2:
        raise ValueError(f"attention: expected (L, N+1, N+1), found {tuple(attention.shape)}")
    return attention
