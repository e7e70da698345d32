"""Make label maps of the training images' own masks: what an upper bound is trained on."""

from __future__ import annotations

from wsss.artefacts.formats import ArtefactError, PathLike, read_manifest
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, label_shard
from wsss.evaluation.counts import read_truth, scored

SPLIT = "train"
TRUTH = {"supervision": "true masks of the training images", "pixel_labels": True}


@again_if_overtaken
def run(*, manifest: PathLike, labels: PathLike, index: PathLike, shard: str) -> None:
    """Write the masks of one shard's images; an image without one has no label map.

    The index says that its labels are pixels' true ones, and how many of the split's images (``images``) have
    them (``masked``), which every network that is trained on them repeats, and every score of such a network.

    Args:
        manifest: The data set.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    data = read_manifest(manifest)
    masked = len(scored(data.records, SPLIT))
    if not masked:
        raise ArtefactError(
            f"{manifest}: expected training images with a mask, found none; without masks there is no upper "
            "bound to train, ask for another result"
        )
    params = {**TRUTH, "masked": masked, "images": len(data.split(SPLIT))}
    provenance = Provenance("copy_masks", {"shard": shard}, params, {"manifest": manifest})
    records = scored(data.shard(SPLIT, shard), SPLIT)
    with label_shard(labels, index, records, provenance, "copying masks") as out:
        for record in out.missing:
            out.write(read_truth(record, data.num_classes + 1))
