"""Count how pseudo labels fit the truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from wsss.artefacts.formats import Manifest, PathLike, read_label_index, read_manifest
from wsss.evaluation.counts import MASKED, Counts, Shard, count_labels, count_shards, scored


def run(
    *,
    manifest: PathLike,
    labels: Sequence[PathLike],
    indexes: Sequence[PathLike],
    counts: PathLike,
    shards: Sequence[str],
) -> None:
    """Compare pseudo labels with the masks of the images that have one; 255 counts as background.

    Args:
        manifest: The data set.
        labels: Folders of some shards' pseudo labels.
        indexes: Their indexes.
        counts: Where to write int64 (1, C+1, C+1), rows of truth.
        shards: Which parts of the split ``train`` these are, such as ``002of048``.
    """
    parts = [Shard(*part) for part in zip(shards, labels, indexes, strict=True)]
    count = partial(_count, read_manifest(manifest))
    count_shards(counts, count, parts, "counting pseudo labels")


def _count(data: Manifest, shard: Shard) -> Counts:
    records = scored(data.shard("train", shard.name), MASKED)
    matrices = count_labels(records, shard.file, data.num_classes + 1)
    params = {"split": MASKED, "labels": read_label_index(shard.labels).params}
    return Counts(matrices, [], len(records), params, {})
