"""Equivariance of patch scores: a picture turned and cut scores as its scores turned and cut (ViT-PCM).

A turn of a square is three steps that may each be taken or left: transposing, upside down, mirroring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-7  # least probability in a logarithm, as Keras has it

STEPS: Sequence[Callable[[Tensor], Tensor]] = (
    lambda squares: squares.mT,
    lambda squares: squares.flip(-2),
    lambda squares: squares.flip(-1),
)
"""Transposing, turning upside down, mirroring left and right; each undoes itself."""


def turned(squares: Tensor, turns: Tensor) -> Tensor:
    """Turn squares.

    Args:
        squares: Pictures or maps, (B, C, n, n).
        turns: Which of :data:`STEPS` each takes, bool (B, 3).

    Returns:
        (B, C, n, n).

    Raises:
        ValueError: For other shapes.
    """
    return _steps(squares, turns, range(len(STEPS)))


def turned_back(squares: Tensor, turns: Tensor) -> Tensor:
    """Undo :func:`turned`."""
    return _steps(squares, turns, reversed(range(len(STEPS))))


def _steps(squares: Tensor, turns: Tensor, order: Iterable[int]) -> Tensor:
    if squares.ndim != 4 or squares.shape[2] != squares.shape[3]:
        raise ValueError(f"squares: expected (B, C, n, n), found {tuple(squares.shape)}")
    if turns.shape != (len(squares), len(STEPS)):
        raise ValueError(f"turns: expected ({len(squares)}, {len(STEPS)}), found {tuple(turns.shape)}")
    for step in order:
        squares = torch.where(turns[:, step, None, None, None], STEPS[step](squares), squares)
    return squares


def cut(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a box out of each map and bring it to a size, bilinearly between the cells' centres.

    Args:
        maps: (B, C, n, n).
        boxes: Top, left and side of each box in parts of the map's side, (B, 3).
        size: Cells of a side of the result.

    Returns:
        (B, C, size, size).
    """
    top, left, side = boxes.to(maps.dtype).unbind(1)
    nothing = torch.zeros_like(side)
    # a picture spans -1..1: a box's centre lies there at twice its place less 1
    across = torch.stack((side, nothing, 2 * left + side - 1), 1)
    down = torch.stack((nothing, side, 2 * top + side - 1), 1)
    places = F.affine_grid(torch.stack((across, down), 1), [*maps.shape[:2], size, size], align_corners=False)
    return F.grid_sample(maps, places, padding_mode="border", align_corners=False)


def tiled(squares: Tensor, along: int) -> Tensor:
    """Lay each ``along`` x ``along`` squares that follow each other into one, row after row.

    Args:
        squares: (B, C, n, n), B a multiple of ``along`` squared.
        along: Squares along a side.

    Returns:
        (B / along^2, C, along n, along n).

    Raises:
        ValueError: If squares are left over.
    """
    if len(squares) % along**2:
        raise ValueError(
            f"batch: expected a multiple of the {along**2} views that one picture holds on each process, "
            f"found {len(squares)}"
        )
    tiles = squares.unflatten(0, (-1, along, along))  # (B', rows, columns, C, n, n)
    return tiles.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def untiled(squares: Tensor, along: int) -> Tensor:
    """Undo :func:`tiled`: (B, C, along n, along n) -> (B along^2, C, n, n)."""
    tiles = squares.unflatten(3, (along, -1)).unflatten(2, (along, -1))  # (B, C, rows, n, columns, n)
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


@torch.no_grad()
def sharpened(scores: Tensor, tags: Tensor) -> Tensor:
    """What patches should show: only what the image shows, each class up to its strongest patch.

    Absent classes become 0, each other class is divided by its maximum over the patches, then each patch by
    its sum over the classes.

    Args:
        scores: Probability of each class on each patch, background first, (B, C+1, h, w).
        tags: 1 for each foreground class that an image shows, (B, C).

    Returns:
        Probabilities without gradient, (B, C+1, h, w).

    Raises:
        ValueError: If the tags are of another number of images or classes.
    """
    expected = (len(scores), scores.shape[1] - 1)
    if tags.shape != expected:
        raise ValueError(f"tags: expected (B, C) = {expected}, found {tuple(tags.shape)}")
    shown = F.pad(tags, (1, 0), value=1.0)[:, :, None, None] * scores
    relative = shown / shown.amax((2, 3), keepdim=True).clamp_min(EPSILON)
    return relative / relative.sum(1, keepdim=True).clamp_min(EPSILON)


def soft_cross_entropy(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over all patches of the cross-entropy of probabilities, both (B, C+1, h, w); a scalar."""
    if predicted.shape != target.shape:
        raise ValueError(f"target: expected {tuple(predicted.shape)}, found {tuple(target.shape)}")
    return -(target * predicted.clamp_min(EPSILON).log()).sum(1).mean()
