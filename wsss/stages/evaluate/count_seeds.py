"""Count how class maps, cut at each threshold of a sweep, fit the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

import wsss.methods.cam  # noqa: F401 (with it torch, once, before the worker processes fork)
from wsss.artefacts.class_maps import ImageMaps, read_maps
from wsss.artefacts.formats import Manifest, PathLike, open_arrays, read_manifest
from wsss.evaluation.counts import MASKED, Counts, Shard, count_shards, read_truth, scored
from wsss.labelling.thresholds import sweep_values
from wsss.methods.metrics import threshold_counts
from wsss.methods.thresholds import BINS, RULES, STEPS, threshold_by, value_histogram


def run(
    *,
    manifest: PathLike,
    maps: Sequence[PathLike],
    counts: PathLike,
    thresholds: Mapping[str, float],
    shards: Sequence[str],
) -> None:
    """Sweep the background score over the images of shards that have a mask, in one pass over each image.

    Beside the sweep every image is cut at the threshold that each rule finds in its own maps. Rules that look
    at the whole data set need what its maps hold, also those of images without a mask.

    Args:
        manifest: The data set.
        maps: Class maps of some shards, of any method.
        counts: Where to write int64 (T, C+1, C+1), rows of truth; and ``rules`` (R, C+1, C+1), the same of
            each rule's own thresholds; ``rule_steps`` (R, 3), number, sum and sum of squares of these in half
            bins; ``values`` (BINS,), the histogram of all images' strongest maps.
        thresholds: ``start``, ``stop`` (included) and ``step`` of the background score.
        shards: Which parts of the split ``train`` these are, such as ``002of048``.
    """
    parts = [Shard(*part) for part in zip(shards, maps, strict=True)]
    count = partial(_count_shard, read_manifest(manifest), dict(thresholds))
    count_shards(counts, count, parts, "counting seeds")


def _count_shard(data: Manifest, thresholds: Mapping[str, float], shard: Shard) -> Counts:
    records = data.shard("train", shard.name)
    masked = {record.id for record in scored(records, MASKED)}
    sweep = sweep_values(thresholds)
    labels = data.num_classes + 1
    total = np.zeros((len(sweep), labels, labels), np.int64)
    more = _empty(labels)
    with open_arrays(shard.file, "maps") as source:
        for record in records:
            maps = ImageMaps(record, read_maps(source, record))
            values = value_histogram(maps.maps)
            more["values"] += values
            if record.id in masked:
                own = [threshold_by(rule, values) if record.classes else 0.0 for rule in RULES]
                counted = _count(maps, sweep, own, labels)
                total += counted[: len(sweep)]
                more["rules"] += counted[len(sweep) :]
                more["rule_steps"] += _steps(own) if record.classes else 0
        params = {
            "split": MASKED,
            "thresholds": dict(thresholds),
            "rules": list(RULES),
            "maps": source.params,
        }
    return Counts(total, sweep, len(masked), params, more)


def _empty(labels: int) -> dict[str, NDArray[np.int64]]:
    shapes = {"rules": (len(RULES), labels, labels), "rule_steps": (len(RULES), 3), "values": (BINS,)}
    return {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}


def _steps(thresholds: Sequence[float]) -> NDArray[np.int64]:
    """One, each threshold in half bins and its square, int64 (R, 3)."""
    steps = [round(threshold * STEPS) for threshold in thresholds]
    return np.array([[1, step, step * step] for step in steps], np.int64).reshape(-1, 3)


def _count(maps: ImageMaps, sweep: Sequence[float], own: Sequence[float], labels: int) -> NDArray[np.int64]:
    """Counts of one image at all thresholds of the sweep, then at its own ones, int64 (T + R, C+1, C+1)."""
    record = maps.record
    thresholds = np.array([*sweep, *own])
    order = thresholds.argsort(kind="stable")
    truth = read_truth(record, labels)
    counts = threshold_counts(maps.upsampled(), record.classes, truth, thresholds[order], labels)
    return counts[order.argsort()]
