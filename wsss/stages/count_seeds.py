"""Count how one shard's class maps, cut at each threshold of a sweep, fit the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from wsss.artefacts import PathLike, Record, TensorShard, open_tensors, read_manifest
from wsss.methods.cam import upsample_maps
from wsss.methods.metrics import threshold_counts
from wsss.stages.class_maps import MAP_STRIDE, read_maps, size_of
from wsss.stages.common import progress
from wsss.stages.scoring import read_truth, scored, write_counts

SPLIT = "seed"


def run(
    *, manifest: PathLike, maps: PathLike, counts: PathLike, thresholds: Mapping[str, float], shard: str
) -> None:
    """Sweep the background score over the images of a shard that have a mask, in one pass over each image.

    Args:
        manifest: The data set.
        maps: The shard's class maps, of any method.
        counts: Where to write int64 (T, C+1, C+1), rows of truth.
        thresholds: ``start``, ``stop`` (included) and ``step`` of the background score.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    data = read_manifest(manifest)
    records = scored(data.shard("train", shard), SPLIT)
    values = threshold_values(thresholds)
    labels = data.num_classes + 1
    total = torch.zeros(len(values), labels, labels, dtype=torch.int64)
    with open_tensors(maps, "maps") as source:
        for record in progress(records, len(records), "counting seeds"):
            total += _count(record, source, values, labels)
        params = {"split": SPLIT, "thresholds": dict(thresholds), "maps": source.params}
    write_counts(counts, total, len(records), params, values)


def threshold_values(thresholds: Mapping[str, float]) -> list[float]:
    """The sweep's thresholds as the decimals they are meant to be, so that ties with maps are ties."""
    start, stop, step = thresholds["start"], thresholds["stop"], thresholds["step"]
    if step <= 0 or stop < start:
        raise ValueError(f"thresholds: expected step > 0 and stop >= start, found {dict(thresholds)}")
    steps = int(np.floor((stop - start) / step + 1e-6))
    return [round(start + step * index, 10) for index in range(steps + 1)]


def _count(record: Record, source: TensorShard, thresholds: list[float], labels: int) -> Tensor:
    truth = read_truth(record, labels)
    maps = upsample_maps(read_maps(source, record).float(), MAP_STRIDE, size_of(record))
    return threshold_counts(maps, record.classes, truth, thresholds, labels)
