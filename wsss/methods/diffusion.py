"""Co-neighbour refinement of attention, and diffusion of class maps along it (AD-CAM, section 4.3).

Eq. 8 of AD-CAM is printed as M(i) <- sum_j A_ji M(i), which cannot be meant as it stands. :data:`DIRECTIONS`
holds the readings. ``gather`` is the default: it is against the letter and for the result, for the paper's
figures have its shape (fewer false positives than CAM) and ``hand_on``, the paper's words, has made maps
worse than CAM wherever it was tried at the paper's k and T.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wsss.methods.attention import normalise_rows
from wsss.methods.sparse import as_rows, compressed_columns, compressed_rows

if TYPE_CHECKING:
    from wsss.config.classifiers import CachedNeighbours

ROWS = 1024  # rows of the similarity matrix held at a time: bounds memory, changes no more than rounding


def coneighbour_similarity(A: Tensor) -> Tensor:
    """Similarity of tokens by what they attend to: S_ij = sum_k sqrt(A_ik A_jk) (AD-CAM, Eq. 6).

    Args:
        A: Row-stochastic attention among patches, (N, N).

    Returns:
        Symmetric similarity in [0, 1], (N, N).
    """
    root = _square("A", A).sqrt()
    return root @ root.t()


def refine_attention(A: Tensor, k: float, *, soft: bool = False) -> Tensor:
    """Keep each token's attention to its ``k`` most similar tokens only: NORM(TOP(S, k) * A) (AD-CAM, Eq. 7).

    A token is always among its own co-neighbours. A row left without attention becomes the identity row.

    Args:
        A: Row-stochastic attention among patches, (N, N).
        k: Number of co-neighbours, at most N of them used; below one, a fraction of N.
        soft: TOP keeps the similarity values instead of ones.

    Returns:
        Refined attention, rows sum to one, (N, N).
    """
    index, values = nearest_coneighbours(A, token_count(k, len(A)))
    if soft:
        values = values * coneighbour_similarity(A).gather(1, index)
    return transition_from_neighbours(index, values, index.shape[1]).to_dense()


def nearest_coneighbours(A: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """List each token's most similar tokens and its attention to them, block by block of rows.

    Args:
        A: Row-stochastic attention among patches, (N, N).
        count: Length of the lists, m; at most N of them used.

    Returns:
        Token indices, the token itself first, then by falling similarity (the lower index first among
        equals), int64 (N, m), and the attention A to each, (N, m).
    """
    root = _square("A", A).sqrt()
    m = token_count(count, len(A))
    blocks = [
        _most_similar(root[start : start + ROWS] @ root.t(), start, m) for start in range(0, len(A), ROWS)
    ]
    index = torch.cat(blocks)
    return index, A.gather(1, index)


def transition_from_neighbours(
    index: Tensor, values: Tensor, k: float, *, direction: str = "gather"
) -> Tensor:
    """Rebuild :func:`refine_attention` from the lists of :func:`nearest_coneighbours`.

    Args:
        index: Co-neighbours of each token, most similar first, (N, m).
        values: Attention to each, (N, m).
        k: Number of co-neighbours, as in :func:`refine_attention`.
        direction: One of :data:`DIRECTIONS`; the matrix is the same for all, its layout is the one that
            this direction multiplies fast.

    Returns:
        Refined attention (N, N) with k entries a row: sparse CSR for ``gather``, else sparse CSC.
    """
    if index.ndim != 2 or index.shape != values.shape:
        expected = "two tensors (N, m)"
        raise ValueError(f"expected {expected}, found {tuple(index.shape)} and {tuple(values.shape)}")
    tokens, cached = index.shape
    k = token_count(k, tokens)
    if k > cached:
        raise ValueError(f"k: expected at most the {cached} cached co-neighbours, found {k}")
    kept = values[:, :k].clone()
    kept[kept.sum(1) == 0, 0] = 1  # the first co-neighbour is the token itself: the identity row
    build = _by_rows if _known(direction) == "gather" else _by_columns
    return build(index[:, :k].long(), normalise_rows(kept))


def _by_rows(columns: Tensor, entries: Tensor) -> Tensor:
    """Sparse CSR (N, N) from the columns and entries of each row, (N, k)."""
    tokens, k = columns.shape
    columns, order = columns.sort(1)
    starts = torch.arange(0, tokens * k + 1, k, device=columns.device)
    return compressed_rows(starts, columns.flatten(), entries.gather(1, order).flatten(), (tokens, tokens))


def _by_columns(columns: Tensor, entries: Tensor) -> Tensor:
    """Sparse CSC (N, N), arguments as for :func:`_by_rows`."""
    tokens, k = columns.shape
    column, order = columns.flatten().sort(stable=True)
    starts = torch.searchsorted(column, torch.arange(tokens + 1, device=columns.device))
    return compressed_columns(starts, order // k, entries.flatten()[order], (tokens, tokens))


Step = Callable[[Tensor], Tensor]  # maps (K, N) before and after a step


def _gather(transition: Tensor) -> Step:
    """M(i) <- sum_j A_ij M(j): each token takes the weighted mean of its co-neighbours."""
    rows = as_rows(transition)
    return lambda maps: (rows @ maps.t()).t()


def _hand_on(transition: Tensor) -> Step:
    """M(i) <- sum_j A_ji M(j): each token hands its activation on along its row."""
    rows = as_rows(transition.t())
    return lambda maps: (rows @ maps.t()).t()


def _literal(transition: Tensor) -> Step:
    """M(i) <- M(i) sum_j A_ji: each token is weighed by the attention that it receives."""
    rows = as_rows(transition.t())
    ones = torch.ones(len(rows), 1, dtype=rows.dtype, device=rows.device)
    received = (rows @ ones).t()  # (1, N)
    return lambda maps: maps * received


DIRECTIONS: dict[str, Callable[[Tensor], Step]] = {
    "gather": _gather,
    "hand_on": _hand_on,
    "literal": _literal,
}


def diffuse(maps: Tensor, transition: Tensor, steps: int, *, direction: str = "gather") -> Tensor:
    """Spread class maps along refined attention, ``steps`` times, in a reading of Eq. 8 of AD-CAM.

    ``gather`` M(i) <- sum_j A_ij M(j) stays between each map's smallest and largest value, so that a
    constant map stays; ``hand_on`` M(i) <- sum_j A_ji M(j) conserves each map's sum; ``literal``
    M(i) <- M(i) sum_j A_ji moves nothing, it weighs a token by the attention it receives.

    Args:
        maps: Class maps, (K, N) with N = h * w.
        transition: Row-stochastic matrix, dense or sparse, (N, N).
        steps: Number of steps T; 0 returns ``maps`` unchanged.
        direction: One of :data:`DIRECTIONS`.

    Returns:
        Spread maps, (K, N).
    """
    step = _step(maps, transition, direction)
    for _ in range(_steps(steps)):
        maps = step(maps)
    return maps


def attended(maps: Tensor, A: Tensor, steps: int, *, direction: str = "gather") -> Tensor:
    """Class maps after each of 1 .. ``steps`` steps along the attention itself, without refinement.

    Args:
        maps: Class maps, (K, N).
        A: Row-stochastic attention among patches, (N, N).
        steps: Number of steps S.
        direction: One of :data:`DIRECTIONS`.

    Returns:
        The maps after every step, (S, K, N).
    """
    step, after = _step(maps, A, direction), [maps]
    for _ in range(_steps(steps)):
        after.append(step(after[-1]))
    return torch.stack(after)[1:]


def token_count(k: float, tokens: int) -> int:
    """Number of co-neighbours that ``k``, a number or a fraction, means on a grid of N ``tokens``."""
    if isinstance(k, float) and 0 < k < 1:
        return max(1, round(k * tokens))
    if isinstance(k, float) or k < 1:  # 1.0 could mean one token or all of them
        raise ValueError(f"k: expected a whole number from 1, or a fraction between 0 and 1, found {k!r}")
    return min(int(k), tokens)


def cached_count(cached: "float | CachedNeighbours", tokens: int) -> int:
    """How many co-neighbours a token keeps on a grid of N ``tokens``.

    Args:
        cached: A number or a fraction of N; or both, of which the larger counts, so that every k up to the
            one and every share up to the other is served.
        tokens: N.
    """
    if not isinstance(cached, float | int):
        return max(token_count(number, tokens) for number in (cached.at_least, cached.fraction))
    return token_count(cached, tokens)


def _most_similar(similarity: Tensor, start: int, m: int) -> Tensor:
    """Columns of the ``m`` largest of each row, self first, then falling, the lower index first among equals.

    ``start`` is the token of the first row. Any smaller ``m`` gives a prefix of the same lists, int64 (R, m).
    """
    own = torch.arange(start, start + len(similarity), device=similarity.device)[:, None]
    ranked = similarity.scatter(1, own, torch.inf)
    value, column = ranked.topk(min(m + 1, ranked.shape[1]))
    column = column[:, :m].sort().values
    tied = (value[:, m - 1 : m] == value[:, m:]).any(1)  # topk may choose any of the equals
    if tied.any():
        column[tied] = ranked[tied].sort(descending=True, stable=True).indices[:, :m].sort().values
    return column.gather(1, ranked.gather(1, column).sort(descending=True, stable=True).indices)


def _square(name: str, matrix: Tensor) -> Tensor:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: expected (N, N), found {tuple(matrix.shape)}")
    return matrix


def _matching(maps: Tensor, transition: Tensor) -> Tensor:
    if maps.ndim != 2:
        raise ValueError(f"maps: expected (K, N), found {tuple(maps.shape)}")
    if transition.shape != (maps.shape[1], maps.shape[1]):
        expected = (maps.shape[1], maps.shape[1])
        raise ValueError(f"transition: expected (N, N) = {expected}, found {tuple(transition.shape)}")
    return transition


def _step(maps: Tensor, transition: Tensor, direction: str) -> Step:
    _matching(maps, transition)
    return DIRECTIONS[_known(direction)](transition)


def _known(direction: str) -> str:
    if direction not in DIRECTIONS:
        raise ValueError(f"direction: expected one of {sorted(DIRECTIONS)}, found {direction!r}")
    return direction


def _steps(steps: int) -> int:
    if steps < 0:
        raise ValueError(f"steps: expected 0 or more, found {steps}")
    return steps
