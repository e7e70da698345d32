"""Differences between label maps, read image by image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.formats import Labels, label_path, read_label_index, read_mask
from wsss.diff.findings import Difference, Largest, Unpaired, Worst, percent, worst_images
from wsss.diff.pairing import Parts, shard_pairs
from wsss.methods.void import VOID

LEVELS = 256  # values of a label map
LOWEST = 3  # labels of lowest IoU that are named


def label_files(parts: Parts) -> dict[str, Path]:
    """The label map of each image that some indexes name."""
    return {
        image: label_path(index.with_suffix(""), image)
        for index in parts.values()
        for image in read_label_index(index).ids
    }


def compare_labels(a: Parts, b: Parts, classes: Sequence[str]) -> Difference:
    """Share of the pixels that disagree, and each label's IoU between the two sides.

    Args:
        a: Indexes of one side's label maps, beside whose folders they lie.
        b: Those of the other side.
        classes: Names of the foreground classes, where known.
    """
    joint = np.zeros((LEVELS, LEVELS), np.int64)
    unpaired, largest = Unpaired(), Largest()
    for one, other in _file_pairs(a, b, unpaired):
        for image, path in one.items():
            counts = _joint(read_mask(path), read_mask(other[image]))
            if counts is None:
                unpaired.reshape()
                continue
            joint += counts
            largest.add(image, disagreement(counts))
    return _difference(joint, classes, unpaired, largest)


def compare_masks(a: Path, b: Path, classes: Sequence[str]) -> Difference:
    """The same for two label maps by themselves."""
    counts, unpaired, largest = _joint(read_mask(a), read_mask(b)), Unpaired(), Largest()
    if counts is None:
        unpaired.reshape()
        counts = np.zeros((LEVELS, LEVELS), np.int64)
    largest.add(a.name, disagreement(counts))
    return _difference(counts, classes, unpaired, largest)


def _file_pairs(a: Parts, b: Parts, unpaired: Unpaired) -> Iterator[tuple[dict[str, Path], dict[str, Path]]]:
    """The files of the images that both sides have, by image, a shard at a time."""
    for parts in shard_pairs(a, b):
        one, other = (label_files(part) for part in parts)
        images = sorted(one.keys() | other.keys())
        both = [image for image in images if unpaired.meet(image in one, image in other)]
        yield {image: one[image] for image in both}, {image: other[image] for image in both}


def _joint(a: Labels, b: Labels) -> NDArray[np.int64] | None:
    """Pixels by their labels on both sides, int64 (256, 256); None for other sizes."""
    if a.shape != b.shape:
        return None
    pairs = a.astype(np.int64) * LEVELS + b
    return np.bincount(pairs.ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS)


def disagreement(counts: NDArray[np.int64]) -> float:
    """Share of the pixels whose labels differ."""
    total = int(counts.sum())
    return 1 - int(counts.trace()) / total if total else 0.0


def _difference(
    joint: NDArray[np.int64], classes: Sequence[str], unpaired: Unpaired, largest: Largest
) -> Difference:
    share, iou, notes, worst = disagreement(joint), _iou(joint, classes), unpaired.notes(), largest.found()
    agree = int(joint.sum()) == int(joint.trace())
    mean = sum(iou.values()) / len(iou) if iou else None
    text = "" if agree else _text(share, iou, worst)
    amounts = {"share_disagreeing": share, "mean_iou": mean, "iou": iou, "pixels": int(joint.sum())}
    return Difference(agree and not notes, text, amounts, notes, worst)


def _text(share: float, iou: Mapping[str, float], worst: Sequence[Worst]) -> str:
    lowest = sorted(iou, key=lambda name: iou[name])[:LOWEST]
    named = ", ".join(f"{name} {percent(iou[name])}" for name in lowest)
    mean = percent(sum(iou.values()) / len(iou))
    return (
        f"{percent(share)} of the pixels disagree; IoU between the two {mean}, lowest {named}; "
        f"worst {worst_images(worst, percent)}"
    )


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
