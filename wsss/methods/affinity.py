"""Affinities of pixel pairs from class boundaries, and the random walk over them (IRN, sections 4 and 5)."""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from wsss.methods.sparse import compressed_rows

NORMALISATIONS = ("mass", "mean")


class SearchPaths(NamedTuple):
    """Directions of the neighbours in reach, shortest paths first, and the cells each path crosses.

    Attributes:
        directions: Offsets (dy, dx) of half of the neighbours, int64 (D, 2); the other half is opposite.
        cells: For each direction the offsets (dy, dx) of the cells on its path, both ends included.
    """

    directions: Tensor
    cells: tuple[tuple[tuple[int, int], ...], ...]


@cache
def search_paths(radius: int) -> SearchPaths:
    """List the neighbours nearer than ``radius`` and the straight, thick paths to them.

    Args:
        radius: Distance in cells that a neighbour must stay under; 5 gives 34 directions, 10 gives 152.

    Returns:
        Directions and paths; a path holds every cell of the bounding box nearer than 1 to the line.
    """
    reach = _reach(radius)
    beside = [(0, dx) for dx in range(1, reach + 1)]
    below = [(dy, dx) for dy in range(1, reach + 1) for dx in range(-reach, reach + 1)]
    near = [(dy, dx) for dy, dx in beside + below if dy * dy + dx * dx < radius * radius]
    paths = sorted(
        ((direction, _cells(*direction)) for direction in near),
        key=lambda path: len(path[1]),
    )
    return SearchPaths(torch.tensor([path[0] for path in paths]), tuple(path[1] for path in paths))


def path_max(edge: Tensor, radius: int) -> Tensor:
    """Find the strongest boundary between each pixel and each of its neighbours.

    Only sources whose whole reach lies inside the map are used: rows ``[0, h-r)`` and columns ``[r, w-r)``
    with r = radius - 1. The gradient goes to the one strongest cell of each path.

    Args:
        edge: Boundary strength, (B, h, w).
        radius: See :func:`search_paths`.

    Returns:
        Largest edge value on each path, (B, D, n).
    """
    _check("edge", edge, "(B, h, w)", edge.ndim == 3)
    source = _sources(edge, radius)
    with torch.no_grad():
        strongest = [_strongest(edge, path, source, _reach(radius)) for path in search_paths(radius).cells]
        position = torch.stack(strongest, dim=1).flatten(1)  # (B, D * n)
    return edge.flatten(1).gather(1, position).unflatten(1, (-1, source.numel()))  # (B, D, n)


def pair_affinity(edge: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Affinity of pixel pairs: one minus the strongest boundary on the path between them (IRN, Eq. 4).

    Args:
        edge: Boundary strength in [0, 1], (h, w).
        radius: See :func:`search_paths`.

    Returns:
        Affinities (D, n) in the order of ``search_paths(radius).directions``, and the flat indices
        ``y * w + x`` of the pairs, int64 (2, D, n): sources, then targets.
    """
    _check("edge", edge, "(h, w)", edge.ndim == 2)
    pairs = index_pairs(edge, radius)
    return 1 - path_max(edge[None], radius)[0], pairs


def index_pairs(edge: Tensor, radius: int) -> Tensor:
    """Flat indices of the pairs that :func:`path_max` compares.

    Args:
        edge: Any map of the size in question, (..., h, w); only its size and device are used.
        radius: See :func:`search_paths`.

    Returns:
        Sources and targets, int64 (2, D, n).
    """
    source = _sources(edge, radius)
    directions = search_paths(radius).directions.to(edge.device)
    step = directions[:, :1] * edge.shape[-1] + directions[:, 1:]  # (D, 1)
    return torch.stack([source.expand(len(step), -1), source + step])


def random_walk(
    scores: Tensor,
    edge: Tensor,
    *,
    radius: int = 5,
    beta: float = 10.0,
    log2_steps: int = 8,
    normalise: str = "mass",
) -> Tensor:
    """Spread class scores over pixels that no boundary divides (IRN, Eq. 6 and 7).

    Scores on boundaries are taken out before the walk, so that IRN's walked maps are dark beside every
    boundary and wherever boundaries are wide. With ``normalise="mean"`` they are divided by the walk of a map
    of ones, which lacks as much: a pixel has the mean score of the pixels that its walk comes from, and a
    constant map stays constant.

    The transition matrix T has at most 69 entries a row at radius 5. It is applied ``2**log2_steps`` times to
    the few class maps; the dense power of T, of (h * w)^2 entries, is never built. Sums run in float64: in
    float32 the small affinities beside the pixel's own 1 would be lost, always to the same side.

    Args:
        scores: Class maps, (K, h, w).
        edge: Boundary strength in [0, 1], (h, w).
        radius: See :func:`search_paths`.
        beta: Exponent that sharpens affinities.
        log2_steps: Binary logarithm of the number of steps.
        normalise: ``mass``, IRN's, or ``mean``. Where boundaries are 1 all around nothing arrives, and the
            maps are 0 either way.

    Returns:
        Walked maps, (K, h, w).
    """
    _check("scores", scores, "(K, h, w)", scores.ndim == 3)
    _check(
        "edge",
        edge,
        f"(h, w) = {tuple(scores.shape[1:])}",
        edge.shape == scores.shape[1:],
    )
    if normalise not in NORMALISATIONS:
        raise ValueError(f"normalise: expected one of {NORMALISATIONS}, found {normalise!r}")
    mean = normalise == "mean"
    starts = torch.cat([scores, torch.ones_like(edge, dtype=scores.dtype)[None]]) if mean else scores
    transition = _transition(edge.double(), radius, beta)
    walked = (starts * (1 - edge)).double().flatten(1).t().contiguous()  # (N, K), or (N, K + 1)
    for _ in range(2**log2_steps):
        walked = transition @ walked
    if mean:
        ones = walked[:, -1:]
        walked = torch.where(ones > 0, walked[:, :-1] / ones, 0)  # (N, K)
    return walked.t().reshape(scores.shape).to(scores.dtype)


def _transition(edge: Tensor, radius: int, beta: float) -> Tensor:
    """Transposed transition matrix, sparse CSR (N, N): a step is ``T' @ x``, its rows sum to one."""
    height, width = edge.shape
    reach = _reach(radius)
    padded = F.pad(edge[None], (reach, reach, 0, reach), value=1.0)
    ahead = (1 - path_max(padded, radius)[0]).unflatten(1, (height, width)) ** beta  # (D, h, w)
    directions = search_paths(radius).directions
    weights = torch.cat([_behind(ahead, directions).flip(0), torch.ones_like(edge)[None], ahead])
    offsets = torch.cat([-directions.flip(0), torch.zeros_like(directions[:1]), directions])
    return _csr((weights / weights.sum(0)).flatten(1).t(), offsets, height, width)


def _behind(ahead: Tensor, directions: Tensor) -> Tensor:
    """Affinities to the neighbours opposite to ``directions``; zero where there is none, (D, h, w)."""
    height, width = ahead.shape[1:]
    reach = int(directions.abs().max())
    padded = F.pad(ahead, (reach, reach, reach, 0))
    corners = [(reach - dy, reach - dx) for dy, dx in directions.tolist()]
    views = [plane[y : y + height, x : x + width] for plane, (y, x) in zip(padded, corners, strict=True)]
    return torch.stack(views)


def _csr(weights: Tensor, offsets: Tensor, height: int, width: int) -> Tensor:
    """Sparse matrix of ``weights`` (N, E), one column for each of ``offsets`` (E, 2)."""
    step = offsets[:, 0] * width + offsets[:, 1]
    order = step.argsort()
    column = torch.arange(height * width)[:, None] + step[order]  # (N, E)
    weights, column = weights[:, order.to(weights.device)], column.to(weights.device)
    kept = weights != 0
    starts = F.pad(kept.sum(1).cumsum(0), (1, 0))
    return compressed_rows(starts, column[kept], weights[kept], (len(weights), len(weights)))


def _strongest(edge: Tensor, path: tuple[tuple[int, int], ...], source: Tensor, reach: int) -> Tensor:
    """Flat position of the strongest cell on the path from each source, int64 (B, n)."""
    height, width = edge.shape[1:]
    rows, columns = height - reach, width - 2 * reach
    views = [edge[:, dy : dy + rows, reach + dx : reach + dx + columns] for dy, dx in path]
    winner = torch.stack(views).argmax(0).flatten(1)  # (B, n)
    steps = torch.tensor([dy * width + dx for dy, dx in path], device=edge.device)
    return source + steps[winner]


def _sources(edge: Tensor, radius: int) -> Tensor:
    """Flat indices of the pixels whose whole reach lies inside the map, int64 (n,)."""
    height, width = edge.shape[-2:]
    reach = _reach(radius)
    enough = height > reach and width > 2 * reach
    _check("edge", edge, f"h > {reach} and w > {2 * reach} for radius {radius}", enough)
    index = torch.arange(height * width, device=edge.device).view(height, width)
    return index[: height - reach, reach : width - reach].flatten()


def _cells(dy: int, dx: int) -> tuple[tuple[int, int], ...]:
    """Cells of the bounding box of (0, 0) and (dy, dx) nearer than 1 to the line through both."""
    ys, xs = range(min(dy, 0), max(dy, 0) + 1), range(min(dx, 0), max(dx, 0) + 1)
    # distance = |cross product| / length of the direction; squared it stays an exact integer comparison
    return tuple((y, x) for y in ys for x in xs if (y * dx - x * dy) ** 2 < dy * dy + dx * dx)


def _reach(radius: int) -> int:
    if radius < 2:
        raise ValueError(f"radius: expected at least 2, found {radius}")
    return radius - 1


def _check(name: str, value: Tensor, expected: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, found {tuple(value.shape)}")
