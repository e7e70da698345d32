"""Counts of predicted against true labels, and the scores they give.

Conventions: 255 in the truth is not counted; 255 in a prediction counts as background. A class in neither
truth nor prediction has no score (NaN) and no part in a mean. Counts are int64 and add up across images.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.methods.metric_table import METRICS, Shares
from wsss.methods.void import VOID

Labels = Tensor | NDArray[np.integer]


class Scores(NamedTuple):
    """Scores of a confusion matrix, as fractions of one.

    Attributes:
        iou: TP / union of each class, float64 (C,).
        fp: Wrongly predicted pixels / union, (C,).
        fn: Missed pixels / union, (C,); IoU + FP + FN = 1.
        means: The scores of :data:`wsss.methods.metric_table.METRICS`, by name.
    """

    iou: Tensor
    fp: Tensor
    fn: Tensor
    means: dict[str, float]


def confusion(prediction: Labels, truth: Labels, num_classes: int, ignore: int = VOID) -> Tensor:
    """Count pixels by true and predicted label.

    Args:
        prediction: Predicted labels of any shape; ``ignore`` counts as background.
        truth: True labels of the same shape; ``ignore`` is left out.
        num_classes: Number of classes C with background.
        ignore: Label of unknown pixels.

    Returns:
        Counts, rows truth, columns prediction, int64 (C, C).
    """
    prediction, truth = _tensor(prediction), _tensor(truth)
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction: expected {tuple(truth.shape)}, found {tuple(prediction.shape)}")
    counted = truth != ignore
    rows, columns = truth[counted].long(), prediction[counted].long()
    columns = torch.where(columns == ignore, 0, columns)
    _check_labels("truth", rows, num_classes)
    _check_labels("prediction", columns, num_classes)
    return torch.bincount(rows * num_classes + columns, minlength=num_classes**2).view(
        num_classes, num_classes
    )


def scores(confusion: Labels) -> Scores:
    """Derive all scores from counts.

    Args:
        confusion: Counts, rows truth, (C, C) with background first.

    Returns:
        Scores per class and their means.
    """
    counts = _tensor(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.is_floating_point():
        raise ValueError(f"confusion: expected integers (C, C), found {counts.dtype} {tuple(counts.shape)}")
    right, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    union = true + predicted - right
    iou, fp, fn = ((part.double() / union) for part in (right, predicted - right, true - right))
    shares = Shares(iou, fp, fn, right.double(), true.double(), predicted.double())
    return Scores(iou, fp, fn, {name: float(metric.of(shares)) for name, metric in METRICS.items()})


def threshold_counts(
    maps: Tensor,
    classes: Sequence[int],
    truth: Labels,
    thresholds: Sequence[float] | Tensor,
    num_labels: int,
    ignore: int = VOID,
) -> Tensor:
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
    truth = _tensor(truth).to(maps.device)
    if maps.ndim != 3 or len(maps) != len(classes) or maps.shape[1:] != truth.shape:
        expected = (len(classes), *truth.shape)
        raise ValueError(f"maps: expected (K, H, W) = {expected}, found {tuple(maps.shape)}")
    levels = torch.as_tensor(thresholds, dtype=maps.dtype, device=maps.device)
    if levels.ndim != 1 or (levels.diff() < 0).any():
        raise ValueError(f"thresholds: expected ascending (T,), found {levels.tolist()}")
    counted = truth != ignore
    rows = truth[counted].long()
    _check_labels("truth", rows, num_labels)
    label, below = _strongest(maps[:, counted], classes, levels)
    _check_labels("classes", label, num_labels)
    shape = (num_labels, num_labels, len(levels) + 1)
    key = (rows * num_labels + label) * shape[2] + below
    return _sweep(torch.bincount(key, minlength=prod(shape)).view(shape))


def _strongest(values: Tensor, classes: Sequence[int], levels: Tensor) -> tuple[Tensor, Tensor]:
    """Label of each pixel's strongest class, and how many levels lie below its score, both (P,)."""
    if len(values) == 0:
        none = torch.zeros(values.shape[1], dtype=torch.long, device=values.device)
        return none, none
    best, index = values.max(0)
    label = torch.tensor([int(c) + 1 for c in classes], device=values.device)[index]
    return label, torch.searchsorted(levels, best)


def _sweep(histogram: Tensor) -> Tensor:
    """Counts (T, C, C) from pixels by truth, strongest class and thresholds below, (C, C, T + 1)."""
    above = histogram.flip(2).cumsum(2).flip(2)[..., 1:]  # pixels that keep their class at each threshold
    counts = above.permute(2, 0, 1).contiguous()
    counts[:, :, 0] += histogram.sum((1, 2)) - above.sum(1).t()
    return counts


def _tensor(labels: Labels) -> Tensor:
    # a copy, because torch complains of arrays that may not be written, as image readers give them
    return labels if isinstance(labels, Tensor) else torch.tensor(labels)


def _check_labels(name: str, labels: Tensor, num_labels: int) -> None:
    if labels.numel() and (labels.min() < 0 or labels.max() >= num_labels):
        found = f"{int(labels.min())} to {int(labels.max())}"
        raise ValueError(f"{name}: expected labels 0 to {num_labels - 1}, found {found}")
