"""Differences between label maps, read image by image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsss.artefacts.formats import label_path, read_label_index, read_mask
from wsss.diff.findings import Difference, largest, named, paired, percent, reshaped
from wsss.diff.pairing import Parts
from wsss.methods.metrics import confusion, scores
from wsss.methods.void import VOID

LEVELS = 256  # values of a label map
NONE = -1  # no value: void is a label as others here
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
        mine, theirs = (read_mask(files[image]).astype(np.int64) for files in (one, other))
        if mine.shape == theirs.shape:
            joint += confusion(mine, theirs, LEVELS, ignore=NONE)
            apart[image] = float(np.mean(mine != theirs))
    notes += reshaped(len(images) - len(apart), "image")
    pixels, worst = int(joint.sum()), largest(apart)
    share = (pixels - int(joint.trace())) / max(pixels, 1)
    ious = enumerate(scores(joint).iou.tolist())
    iou = {label_name(label, classes): value for label, value in ious if not math.isnan(value)}
    mean = sum(iou.values()) / len(iou) if iou else None
    amounts = {"share_disagreeing": share, "mean_iou": mean, "iou": iou, "pixels": pixels}
    lowest = {label: iou[label] for label in sorted(iou, key=iou.__getitem__)[:LOWEST]}
    text = (
        f"{percent(share)} of the pixels disagree; IoU between the two {percent(mean or 0)}, "
        f"lowest {named(lowest, percent)}; worst {named(worst, percent)}"
    )
    return Difference(text if share else "", amounts, notes, worst)


def label_name(label: int, classes: Sequence[str]) -> str:
    """A label's class, or its number where the classes are not known."""
    if label == VOID:
        return "void"
    names = ("background", *classes)
    return names[label] if label < len(names) else f"label {label}"
