"""Count how one shard's pseudo labels fit the truth."""

from __future__ import annotations

from wsss.artefacts.formats import PathLike, read_label_index, read_manifest
from wsss.evaluation.counts import count_labels, scored, write_counts

SPLIT = "masked"


def run(*, manifest: PathLike, labels: PathLike, index: PathLike, counts: PathLike, shard: str) -> None:
    """Compare pseudo labels with the masks of the images that have one; 255 counts as background.

    Args:
        manifest: The data set.
        labels: Folder of the shard's pseudo labels.
        index: Their index.
        counts: Where to write int64 (1, C+1, C+1), rows of truth.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    data = read_manifest(manifest)
    records = scored(data.shard("train", shard), SPLIT)
    matrices = count_labels(records, labels, data.num_classes + 1, "counting pseudo labels")
    params = {"split": SPLIT, "labels": read_label_index(index).params}
    write_counts(counts, matrices, len(records), params)
