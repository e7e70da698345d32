"""The scores that counts give: what each is called, which way is better, and whether tables show it.

A further score is an entry of :data:`METRICS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


class Shares(NamedTuple):
    """What scores are computed from, by class with background first, float64 (C,).

    Attributes:
        iou: Right pixels / union; NaN for a class in neither truth nor prediction, as the next two.
        fp: Wrongly predicted pixels / union.
        fn: Missed pixels / union.
        right: Pixels whose label is right.
        true: Pixels of the class in the truth.
        predicted: Pixels of the class in the prediction.
    """

    iou: Floats
    fp: Floats
    fn: Floats
    right: Floats
    true: Floats
    predicted: Floats


class Metric(NamedTuple):
    """A score of one count matrix, a fraction of one.

    Attributes:
        title: What tables and figures call it.
        better: Which values are better.
        of: Computes it; the result is turned into a float, NaN where there is nothing to score.
        shown: Whether tables, curves and the page show it; files have all.
    """

    title: str
    better: Literal["high", "low"]
    of: Callable[[Shares], Any]
    shown: bool = False


def ratio(part: Any, whole: Any) -> Any:
    """Quotients; NaN where there is nothing to divide by."""
    with np.errstate(invalid="ignore"):
        return part / whole


def mean(values: Floats) -> float:
    """Mean of what is a number; NaN where nothing is."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else math.nan


METRICS: dict[str, Metric] = {
    # over the classes with background
    "miou": Metric("mIoU", "high", lambda shares: mean(shares.iou), shown=True),
    # over the foreground classes
    "mean_fp": Metric("FP", "low", lambda shares: mean(shares.fp[1:]), shown=True),
    "mean_fn": Metric("FN", "low", lambda shares: mean(shares.fn[1:]), shown=True),
    "pixel_accuracy": Metric(
        "pixel accuracy", "high", lambda shares: ratio(shares.right.sum(), shares.true.sum())
    ),
    "f1": Metric("F1", "high", lambda shares: mean(ratio(2 * shares.right, shares.true + shares.predicted))),
}
SHOWN: dict[str, Metric] = {name: metric for name, metric in METRICS.items() if metric.shown}


def column_name(name: str) -> str:
    """What a score's columns end with in tables of several stages: ``fp`` for ``mean_fp``."""
    return name.removeprefix("mean_")
