"""Counts of predicted against true labels, and the scores they give.

Conventions: 255 in the truth is not counted; 255 in a prediction counts as background. A class in neither
truth nor prediction has no score (NaN) and no part in a mean. Counts are int64 and add up across images.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.methods.metric_table import METRICS, Floats, Shares, ratio
from wsss.methods.void import VOID

Integers: TypeAlias = NDArray[np.integer[Any]]


class Scores(NamedTuple):
    """Scores of a confusion matrix, as fractions of one.

    Attributes:
        iou: TP / union of each class, float64 (C,).
        fp: Wrongly predicted pixels / union, (C,).
        fn: Missed pixels / union, (C,); IoU + FP + FN = 1.
        means: The scores of :data:`wsss.methods.metric_table.METRICS`, by name.
    """

    iou: Floats
    fp: Floats
    fn: Floats
    means: dict[str, float]


def confusion(
    prediction: ArrayLike, truth: ArrayLike, num_classes: int, ignore: int = VOID
) -> NDArray[np.int64]:
    """Count pixels by true and predicted label.

    Args:
        prediction: Predicted labels of any shape; ``ignore`` counts as background.
        truth: True labels of the same shape; ``ignore`` is left out.
        num_classes: Number of classes C with background.
        ignore: Label of unknown pixels.

    Returns:
        Counts, rows truth, columns prediction, int64 (C, C).
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction: expected {truth.shape}, found {prediction.shape}")
    counted = truth != ignore
    rows, columns = truth[counted].astype(np.int64), prediction[counted].astype(np.int64)
    columns[columns == ignore] = 0
    _check_labels("truth", rows, num_classes)
    _check_labels("prediction", columns, num_classes)
    shape = (num_classes, num_classes)
    return np.bincount(rows * num_classes + columns, minlength=prod(shape)).reshape(shape)


def scores(confusion: ArrayLike) -> Scores:
    """Derive all scores from counts.

    Args:
        confusion: Counts, rows truth, (C, C) with background first.

    Returns:
        Scores per class and their means.
    """
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iu":
        raise ValueError(f"confusion: expected integers (C, C), found {counts.dtype} {counts.shape}")
    right, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    union = true + predicted - right
    iou, fp, fn = (ratio(part, union) for part in (right, predicted - right, true - right))
    shares = Shares(iou, fp, fn, *(part.astype(np.float64) for part in (right, true, predicted)))
    return Scores(iou, fp, fn, {name: float(metric.of(shares)) for name, metric in METRICS.items()})


def threshold_counts(
    maps: NDArray[np.floating[Any]],
    classes: Sequence[int],
    truth: ArrayLike,
    thresholds: ArrayLike,
    num_labels: int,
    ignore: int = VOID,
) -> NDArray[np.int64]:
    """Count pixels by true and predicted label for every background score at once.

    As the background score rises a pixel keeps its strongest class until the score reaches the pixel's own,
    and is background from there on. So one histogram over (truth, strongest class, number of thresholds below
    the score) holds the whole sweep; sums along its last axis give the counts of each threshold.

    Args:
        maps: Class maps, (K, H, W).
        classes: Class of each map, counted from 0 without background.
        truth: True labels, (H, W); ``ignore`` is left out.
        thresholds: Background scores in ascending order, compared in the maps' own precision, (T,).
        num_labels: Number of labels C with background.
        ignore: Label of unknown pixels.

    Returns:
        Counts, rows truth, columns prediction, int64 (T, C, C).
    """
    truth = np.asarray(truth)
    if maps.ndim != 3 or len(maps) != len(classes) or maps.shape[1:] != truth.shape:
        expected = (len(classes), *truth.shape)
        raise ValueError(f"maps: expected (K, H, W) = {expected}, found {maps.shape}")
    levels = np.asarray(thresholds, dtype=maps.dtype)
    if levels.ndim != 1 or (np.diff(levels) < 0).any():
        raise ValueError(f"thresholds: expected ascending (T,), found {levels.tolist()}")
    counted = truth != ignore
    rows = truth[counted].astype(np.int64)
    _check_labels("truth", rows, num_labels)
    # (K, P); an index by the mask is slower
    values = maps.reshape(len(maps), truth.size).compress(counted.ravel(), axis=1)
    label, below = _strongest(values, classes, levels)
    _check_labels("classes", label, num_labels)
    shape = (num_labels, num_labels, len(levels) + 1)
    key = (rows * num_labels + label) * shape[2] + below
    return _sweep(np.bincount(key, minlength=prod(shape)).reshape(shape))


def _strongest(
    values: NDArray[np.floating[Any]], classes: Sequence[int], levels: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Label of each pixel's strongest class, and how many levels lie below its score, both (P,)."""
    if len(values) == 0:
        none = np.zeros(values.shape[1], np.int64)
        return none, none
    label = np.array([int(c) + 1 for c in classes])[values.argmax(0)]
    return label, np.searchsorted(levels, values.max(0))


def _sweep(histogram: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts (T, C, C) from pixels by truth, strongest class and thresholds below, (C, C, T + 1)."""
    from_here = histogram[..., ::-1].cumsum(2)[..., ::-1]
    above = from_here[..., 1:]  # pixels that keep their class at each threshold
    counts = np.ascontiguousarray(above.transpose(2, 0, 1))
    counts[:, :, 0] += histogram.sum((1, 2)) - above.sum(1).T
    return counts


def _check_labels(name: str, labels: Integers, num_labels: int) -> None:
    if labels.size and (labels.min() < 0 or labels.max() >= num_labels):
        found = f"{int(labels.min())} to {int(labels.max())}"
        raise ValueError(f"{name}: expected labels 0 to {num_labels - 1}, found {found}")
