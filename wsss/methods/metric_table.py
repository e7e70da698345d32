"""The scores that counts give: what each is called, which way is better, and whether tables show it.

A further score is an entry of :data:`METRICS`. Nothing here imports torch, for commands that only print.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


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

    iou: Tensor
    fp: Tensor
    fn: Tensor
    right: Tensor
    true: Tensor
    predicted: Tensor


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


METRICS: dict[str, Metric] = {
    # over the classes with background
    "miou": Metric("mIoU", "high", lambda shares: shares.iou.nanmean(), shown=True),
    # over the foreground classes
    "mean_fp": Metric("FP", "low", lambda shares: shares.fp[1:].nanmean(), shown=True),
    "mean_fn": Metric("FN", "low", lambda shares: shares.fn[1:].nanmean(), shown=True),
    "pixel_accuracy": Metric("pixel accuracy", "high", lambda shares: shares.right.sum() / shares.true.sum()),
    "f1": Metric(
        "F1", "high", lambda shares: (2 * shares.right / (shares.true + shares.predicted)).nanmean()
    ),
}
SHOWN: dict[str, Metric] = {name: metric for name, metric in METRICS.items() if metric.shown}


def column_name(name: str) -> str:
    """What a score's columns end with in tables of several stages: ``fp`` for ``mean_fp``."""
    return name.removeprefix("mean_")
