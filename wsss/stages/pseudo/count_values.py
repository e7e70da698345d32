"""Count the values of one shard's class maps, for a threshold that they give by themselves."""

from __future__ import annotations

import numpy as np

from wsss.artefacts.class_maps import read_maps
from wsss.artefacts.formats import PathLike, open_arrays, read_manifest
from wsss.evaluation.counts import write_counts
from wsss.methods.thresholds import BINS, value_histogram
from wsss.runtime.progress import progress


def run(*, manifest: PathLike, maps: PathLike, counts: PathLike, shard: str) -> None:
    """Add the histograms of the strongest maps of all images of a shard that have a class; no mask is read.

    Args:
        manifest: The data set.
        maps: The shard's class maps, of any method.
        counts: Where to write int64 (1, BINS), and how many images they are of.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    records = [record for record in read_manifest(manifest).shard("train", shard) if record.classes]
    total = np.zeros((1, BINS), np.int64)
    with open_arrays(maps, "maps") as source:
        for record in progress(records, len(records), "counting values"):
            total += value_histogram(read_maps(source, record))
        write_counts(counts, total, len(records), {"maps": source.params})
