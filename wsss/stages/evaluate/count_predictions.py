"""Count how predictions fit the truth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from wsss.artefacts.formats import Manifest, PathLike, read_label_index, read_manifest
from wsss.evaluation.counts import Counts, Shard, count_labels, count_shards, scored


def run(
    *,
    manifest: PathLike,
    labels: Sequence[PathLike],
    indexes: Sequence[PathLike],
    counts: PathLike,
    split: str,
    shards: Sequence[str],
) -> None:
    """Compare predictions with the masks of the images that have one.

    Args:
        manifest: The data set.
        labels: Folders of some shards' predictions.
        indexes: Their indexes, which name the inference settings that made them.
        counts: Where to write int64 (1, C+1, C+1), rows of truth.
        split: The split that was predicted.
        shards: Which parts of it these are, such as ``002of048``.
    """
    parts = [Shard(*part) for part in zip(shards, labels, indexes, strict=True)]
    count = partial(_count, read_manifest(manifest), split)
    count_shards(counts, count, parts, "counting predictions")


def _count(data: Manifest, split: str, shard: Shard) -> Counts:
    records = scored(data.shard(split, shard.name), split)
    matrices = count_labels(records, shard.file, data.num_classes + 1)
    params = {"split": split, "inference": read_label_index(shard.labels).params["settings"]}
    return Counts(matrices, [], len(records), params, {})
