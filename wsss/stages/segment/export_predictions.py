"""Lay predictions out as the PASCAL VOC evaluation server takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss.artefacts.formats import (
    ArtefactError,
    PathLike,
    atomic_folder,
    label_path,
    read_label_index,
    read_mask,
    write_mask,
)

# comp6: segmentation of the test set, trained on any data but the test set's.
FOLDER = Path("results", "VOC2012", "Segmentation", "comp6_test_cls")


def run(*, labels: Sequence[PathLike], indexes: Sequence[PathLike], submission: PathLike) -> None:
    """Copy all shards' predictions into one folder, each checked to be whole.

    Args:
        labels: Folders of predictions, a folder a shard.
        indexes: Their indexes, in the same order.
        submission: The folder to pack and hand in; it holds ``results/VOC2012/...``.

    Raises:
        ArtefactError: If there is nothing to hand in.
    """
    if not any(read_label_index(index).ids for index in indexes):
        raise ArtefactError(
            f"{submission}: no images in the split 'test'; VOC's come in an archive of their "
            "own (VOC2012test.tar): unpack it over VOC2012, then run prepare_manifest again"
        )
    with atomic_folder(submission) as temporary:
        for folder, index in zip(labels, indexes, strict=True):
            for image_id in read_label_index(index).ids:
                write_mask(label_path(temporary / FOLDER, image_id), read_mask(label_path(folder, image_id)))
