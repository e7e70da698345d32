"""Count how one shard's predictions fit the truth."""

from __future__ import annotations

from wsss.artefacts.formats import PathLike, read_label_index, read_manifest
from wsss.evaluation.counts import count_labels, scored, write_counts


def run(
    *, manifest: PathLike, labels: PathLike, index: PathLike, counts: PathLike, split: str, shard: str
) -> None:
    """Compare predictions with the masks of the images that have one.

    Args:
        manifest: The data set.
        labels: Folder of the shard's predictions.
        index: Their index, which names the inference settings that made them.
        counts: Where to write int64 (1, C+1, C+1), rows of truth.
        split: The split that was predicted.
        shard: Which part of it, such as ``002of048``.
    """
    data = read_manifest(manifest)
    records = scored(data.shard(split, shard), split)
    matrices = count_labels(records, labels, data.num_classes + 1, "counting predictions")
    params = {"split": split, "inference": read_label_index(index).params["settings"]}
    write_counts(counts, matrices, len(records), params)
