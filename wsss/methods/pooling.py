"""From patch scores to image scores: four ways to pool, of which adaptive-K is APC's (section 3.3).

Each is a mean with constant weights, found without gradient: a patch's gradient is its weight. Equal scores
have equal weights, so that no result and no gradient depends on the order of the patches.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def average_pool(scores: Tensor) -> Tensor:
    """Mean over all patches, (B, N, C) -> (B, C)."""
    return _checked(scores).mean(1)


def max_pool(scores: Tensor) -> Tensor:
    """Highest score over the patches, (B, N, C) -> (B, C)."""
    return _checked(scores).amax(1)


def top_k_pool(scores: Tensor, k: int = 6) -> Tensor:
    """Mean of each class's ``k`` highest scores, (B, N, C) -> (B, C); all N of them if k is larger."""
    with torch.no_grad():
        weights = _top_k_weights(_checked(scores), _at_least_one(k))
    return (weights * scores).sum(1)


def adaptive_k_pool(scores: Tensor, k: int = 6, ratio: float = 0.9, *, criterion: str = "ratio") -> Tensor:
    """Mean of each class's K highest scores, K growing while scores stay near the highest (APC, Algorithm 1).

    A class's scores are sorted. K starts at ``k`` and grows while the next score is near the highest.

    By hand, for one class that scores 0.10, 0.48, 0.50, 0.40 and 0.46 on five patches, with k = 2 and ratio
    0.9: sorted these are 0.50, 0.48, 0.46, 0.40, 0.10, and near is what reaches 0.9 * 0.50 = 0.45. K starts
    at 2. The third score, 0.46, is near: K = 3. The fourth, 0.40, is not: the image's score is
    (0.50 + 0.48 + 0.46) / 3 = 0.48. Only these three patches get a gradient, 1/3 each.

    Args:
        scores: Probability of each class on each patch, (B, N, C).
        k: Smallest number of patches; all N where there are fewer.
        ratio: How near to the highest score counts as near, see ``criterion``.
        criterion: What the paper's "close to the maximum" means: ``ratio``, at least ``ratio`` times the
            highest score; or ``difference``, at most ``1 - ratio`` below it. Both agree if the highest is 1.

    Returns:
        Score of each class for the image, (B, C).

    Raises:
        ValueError: For another shape, k below 1, or an unknown criterion.
    """
    least = _at_least_one(k)
    with torch.no_grad():
        highest = _checked(scores).amax(1, keepdim=True)  # (B, 1, C)
        near = (scores >= _chosen("criterion", criterion, CRITERIA)(highest, ratio)).to(scores.dtype)
        count = near.sum(1, keepdim=True)
        weights = torch.where(count > least, near / count, _top_k_weights(scores, least))
    return (weights * scores).sum(1)


CRITERIA: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "ratio": lambda highest, ratio: ratio * highest,
    "difference": lambda highest, ratio: highest - (1 - ratio),
}
"""Lowest score that counts as near to the highest."""

POOLINGS: Mapping[str, Callable[..., Tensor]] = {
    "average": average_pool,
    "max": max_pool,
    "top_k": top_k_pool,
    "adaptive_k": adaptive_k_pool,
}

_ARGUMENTS = {"average": (), "max": (), "top_k": ("k",), "adaptive_k": ("k", "ratio", "criterion")}


def pool(scores: Tensor, *, kind: str, k: int = 6, ratio: float = 0.9, criterion: str = "ratio") -> Tensor:
    """Pool in a way by name; arguments as of :func:`adaptive_k_pool`, of which others ignore some.

    Args:
        scores: Probability of each class on each patch, (B, N, C).
        kind: One of :data:`POOLINGS`.
        k: Smallest number of patches, or all.
        ratio: How near to the highest score counts as near.
        criterion: What that means.

    Returns:
        Score of each class for the image, (B, C).
    """
    given = {"k": k, "ratio": ratio, "criterion": criterion}
    function = _chosen("kind", kind, POOLINGS)
    return function(scores, **{name: given[name] for name in _ARGUMENTS[kind]})


def _top_k_weights(scores: Tensor, k: int) -> Tensor:
    """Weights 1/k of each class's k highest scores; equals at the k-th place share the rest, (B, N, C)."""
    k = min(k, scores.shape[1])
    last = scores.topk(k, dim=1).values[:, -1:]  # (B, 1, C)
    above, equal = (scores > last).to(scores.dtype), (scores == last).to(scores.dtype)
    left = k - above.sum(1, keepdim=True)
    return (above + equal * left / equal.sum(1, keepdim=True)) / k


def _chosen(what: str, name: Any, choices: Mapping[str, Callable[..., Tensor]]) -> Callable[..., Tensor]:
    if name not in choices:
        raise ValueError(f"{what}: expected one of {sorted(choices)}, found {name!r}")
    return choices[name]


def _at_least_one(k: int) -> int:
    if k < 1:
        raise ValueError(f"k: expected at least 1, found {k}")
    return k


def _checked(scores: Tensor) -> Tensor:
    if scores.ndim != 3 or scores.shape[1] == 0:
        raise ValueError(f"scores: expected (B, N, C) with N > 0, found {tuple(scores.shape)}")
    return scores
