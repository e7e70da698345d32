"""Overlapping tiles that cover a picture too large to be seen at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

OVERLAP = 8  # of a tile's side, one part is the margin that it sees beyond what it keeps
Span = tuple[int, int]  # start and end of pixels


class Tile(NamedTuple):
    """A rectangle of a picture.

    Attributes:
        seen: Rows and columns that are looked at.
        kept: Those of them whose labels are taken; the kept parts of all tiles make up the picture, each
            pixel once, and lie away from the edges of what is seen, beyond which the network is blind.
    """

    seen: tuple[Span, Span]
    kept: tuple[Span, Span]


def tiles(size: Sequence[int], side: int) -> list[Tile]:
    """Cover a picture with tiles, row after row.

    Args:
        size: Height and width of the picture, pixels.
        side: Largest side of a tile, pixels; at least 16.

    Returns:
        One tile where the picture is no larger than a tile.
    """
    if side < 2 * OVERLAP:
        raise ValueError(f"tile: expected at least {2 * OVERLAP} pixels, found {side}")
    rows, columns = (_spans(length, side) for length in size)
    return [Tile((row[0], column[0]), (row[1], column[1])) for row in rows for column in columns]


def _spans(length: int, side: int) -> list[tuple[Span, Span]]:
    """Spans of pixels that are seen along one side, evenly spread, and the part of each that is kept."""
    margin = side // OVERLAP
    count = 1 if length <= side else math.ceil((length - 2 * margin) / (side - 2 * margin))
    end = length - min(length, side)
    starts = [round(number * end / max(1, count - 1)) for number in range(count)]
    middles = [(left + side + right) // 2 for left, right in itertools.pairwise(starts)]
    kept = zip([0, *middles], [*middles, length], strict=True)
    return [((start, min(start + side, length)), part) for start, part in zip(starts, kept, strict=True)]


def slices(area: tuple[Span, Span]) -> tuple[slice, slice]:
    """An area as indices of an array (H, W, ...)."""
    return slice(*area[0]), slice(*area[1])


def inside(tile: Tile) -> tuple[slice, slice]:
    """Where the kept pixels lie in what the tile sees."""
    pairs = zip(tile.seen, tile.kept, strict=True)
    rows, columns = (slice(kept[0] - seen[0], kept[1] - seen[0]) for seen, kept in pairs)
    return rows, columns


def enlarged_part(maps: Tensor, size: Sequence[int], area: tuple[Span, Span]) -> Tensor:
    """A part of maps that are enlarged to a picture's size, without the rest of it.

    Args:
        maps: Maps of the whole picture, (B, C, h, w).
        size: Height and width of the picture.
        area: Rows and columns of the part.

    Returns:
        That part of the bilinear enlargement (half-pixel centres), (B, C, rows, columns).
    """
    rows, columns = (_between(maps.shape[2 + axis], size[axis], area[axis], maps) for axis in (0, 1))
    first, second, share = rows
    share = share[:, None]
    bands = maps[:, :, first] * (1 - share) + maps[:, :, second] * share
    first, second, share = columns
    return bands[..., first] * (1 - share) + bands[..., second] * share


def _between(cells: int, length: int, span: Span, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of a span, the two cells that it lies between, and the second one's share."""
    pixels = torch.arange(*span, dtype=torch.float64)
    places = ((pixels + 0.5) * cells / length - 0.5).clamp(min=0)
    first = places.long().clamp(max=cells - 1)
    share = (places - first).to(like)
    return first.to(like.device), (first + 1).clamp(max=cells - 1).to(like.device), share
