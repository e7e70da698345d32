"""Differences between label maps, read image by image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.formats import Labels, label_path, read_label_index, read_mask
from wsss.diff.findings import Difference, largest, named, paired, percent, reshaped
from wsss.diff.pairing import Parts
from wsss.methods.void import VOID

LEVELS = 256  # values of a label map
LOWEST = 3  # labels of lowest IoU that are named
ALONE = "label map"  # stands for the image where a label map is compared without an index


def label_files(parts: Parts) -> dict[str, Path]:
    """The label map of each image that some indexes name, or the one label map given."""
    if parts.keys() == {""} and parts[""].suffix == ".png":
        return {ALONE: parts[""]}
    return {
        image: label_path(index.with_suffix(""), image)
        for index in parts.values()
        for image in read_label_index(index).ids
    }


def compare_labels(a: Parts, b: Parts, classes: Sequence[str]) -> Difference:
    """Share of the pixels that disagree, and each label's IoU between the two sides.

    Args:
        a: Indexes of one side's label maps, beside whose folders they lie, or one label map.
        b: Those of the other side.
        classes: Names of the foreground classes, where known.
    """
    one, other = label_files(a), label_files(b)
    images, notes = paired(one, other, "image")
    joint = np.zeros((LEVELS, LEVELS), np.int64)
    apart: dict[str, float] = {}
    for image in images:
        labels = read_mask(one[image]), read_mask(other[image])
        if labels[0].shape == labels[1].shape:
            counts = _joint(*labels)
            joint += counts
            apart[image] = _disagreement(counts)
    notes += reshaped(len(images) - len(apart), "image")
    share, iou, worst = _disagreement(joint), _iou(joint, classes), largest(apart)
    mean = sum(iou.values()) / len(iou) if iou else None
    amounts = {"share_disagreeing": share, "mean_iou": mean, "iou": iou, "pixels": int(joint.sum())}
    lowest = {label: iou[label] for label in sorted(iou, key=iou.__getitem__)[:LOWEST]}
    text = (
        f"{percent(share)} of the pixels disagree; IoU between the two {percent(mean or 0)}, "
        f"lowest {named(lowest, percent)}; worst {named(worst, percent)}"
    )
    return Difference(text if share else "", amounts, notes, worst)


def _joint(a: Labels, b: Labels) -> NDArray[np.int64]:
    """Pixels by their labels on both sides, int64 (256, 256)."""
    pairs = a.astype(np.int64) * LEVELS + b
    return np.bincount(pairs.ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS)


def _disagreement(counts: NDArray[np.int64]) -> float:
    """Share of the pixels whose labels differ."""
    total = int(counts.sum())
    return (total - int(counts.trace())) / total if total else 0.0


def _iou(joint: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
    """IoU of each label that occurs, between the two sides."""
    both = joint.diagonal()
    either = joint.sum(0) + joint.sum(1) - both
    return {
        label_name(int(label), classes): float(both[label] / either[label])
        for label in np.flatnonzero(either)
    }


def label_name(label: int, classes: Sequence[str]) -> str:
    """A label's class, or its number where the classes are not known."""
    if label == VOID:
        return "void"
    names = ("background", *classes)
    return names[label] if label < len(names) else f"label {label}"
