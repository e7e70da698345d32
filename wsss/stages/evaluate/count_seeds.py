"""Count how class maps, cut at each threshold of a sweep, fit the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from wsss.artefacts.class_maps import MAP_STRIDE, read_maps, size_of
from wsss.artefacts.formats import Manifest, PathLike, Record, open_tensors, read_manifest
from wsss.evaluation.counts import Counts, Shard, count_shards, read_truth, scored
from wsss.methods.cam import upsample_maps
from wsss.methods.metrics import threshold_counts
from wsss.methods.thresholds import BINS, RULES, STEPS, threshold_by, value_histogram

SPLIT = "masked"


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
    masked = {record.id for record in scored(records, SPLIT)}
    sweep = threshold_values(thresholds)
    labels = data.num_classes + 1
    total = torch.zeros(len(sweep), labels, labels, dtype=torch.int64)
    more = _empty(labels)
    with open_tensors(shard.file, "maps") as source:
        for record in records:
            scores = read_maps(source, record)
            values = value_histogram(scores.numpy())
            more["values"] += torch.from_numpy(values)
            if record.id in masked:
                own = [threshold_by(rule, values) if record.classes else 0.0 for rule in RULES]
                counted = _count(record, scores.float(), sweep, own, labels)
                total += counted[: len(sweep)]
                more["rules"] += counted[len(sweep) :]
                more["rule_steps"] += _steps(own) if record.classes else 0
        params = {
            "split": SPLIT,
            "thresholds": dict(thresholds),
            "rules": list(RULES),
            "maps": source.params,
        }
    return Counts(total, sweep, len(masked), params, more)


def _empty(labels: int) -> dict[str, Tensor]:
    shapes = {"rules": (len(RULES), labels, labels), "rule_steps": (len(RULES), 3), "values": (BINS,)}
    return {name: torch.zeros(shape, dtype=torch.int64) for name, shape in shapes.items()}


def _steps(thresholds: Sequence[float]) -> Tensor:
    """One, each threshold in half bins and its square, int64 (R, 3)."""
    steps = [round(threshold * STEPS) for threshold in thresholds]
    return torch.tensor([[1, step, step * step] for step in steps], dtype=torch.int64).reshape(-1, 3)


def threshold_values(thresholds: Mapping[str, float]) -> list[float]:
    """The sweep's thresholds as the decimals they are meant to be, so that ties with maps are ties."""
    start, stop, step = thresholds["start"], thresholds["stop"], thresholds["step"]
    if step <= 0 or stop < start:
        raise ValueError(f"thresholds: expected step > 0 and stop >= start, found {dict(thresholds)}")
    steps = int(np.floor((stop - start) / step + 1e-6))
    return [round(start + step * index, 10) for index in range(steps + 1)]


def _count(
    record: Record, scores: Tensor, sweep: Sequence[float], own: Sequence[float], labels: int
) -> Tensor:
    """Counts of one image at all thresholds of the sweep, then at its own ones, int64 (T + R, C+1, C+1)."""
    truth = read_truth(record, labels)
    maps = upsample_maps(scores, MAP_STRIDE, size_of(record))
    thresholds = np.array([*sweep, *own])
    order = thresholds.argsort(kind="stable")
    counts = threshold_counts(maps, record.classes, truth, thresholds[order].tolist(), labels)
    return counts[torch.from_numpy(order.argsort())]
