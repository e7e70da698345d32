"""Segment images by the trained network over several scales, and refine the result on the real picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import validate_call

from wsss.artefacts.class_maps import size_of
from wsss.artefacts.formats import Labels, Manifest, PathLike, Record, read_image, read_manifest
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, label_shard
from wsss.config.segmenters import Inference, SegmenterNetwork
from wsss.models.colours import with_colours
from wsss.prediction.label_images import Scored, most_probable
from wsss.prediction.scorers import load_segmenter
from wsss.prediction.segmentation import resized


@again_if_overtaken
@validate_call
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    labels: PathLike,
    index: PathLike,
    network: SegmenterNetwork,
    settings: Inference,
    split: str,
    shard: str,
) -> None:
    """Write one shard's predicted label maps, at the images' own sizes; image labels are not used.

    Args:
        manifest: The data set.
        weights: The trained segmentation network.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        network: The network's settings.
        settings: How it labels an image.
        split: ``train``, ``val`` or ``test``.
        shard: Which part of the split, such as ``002of048``.
    """
    data, network = read_manifest(manifest), with_colours(network)
    shown = {"settings": settings.model_dump(), "split": split}
    provenance = Provenance(
        "predict_masks",
        settings={**shown, "network": network.model_dump(), "shard": shard},
        params=shown,
        inputs={"manifest": manifest, "weights": weights},
    )
    with label_shard(labels, index, data.shard(split, shard), provenance, f"predicting {split}") as out:
        for label in label_maps(data, out.missing, weights, network, settings):
            out.write(label)


def label_maps(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    network: SegmenterNetwork,
    settings: Inference,
) -> Iterator[Labels]:
    """Predict images of any split: label maps of the images' sizes, in the order of the records.

    Arguments as in :func:`run`; also used to draw examples.
    """
    return most_probable(_predictions(data, records, weights, network, settings), settings.crf)


def _predictions(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    network: SegmenterNetwork,
    settings: Inference,
) -> Iterator[Scored]:
    """One image's probabilities after the other; the network is loaded only when the first is asked for.

    By then the worker processes of :func:`most_probable` are forked, free of a GPU's context.
    """
    scorer = load_segmenter(weights, data, network, settings)
    for record in records:
        scores = resized(scorer.scores(read_image(record)[None]), size_of(record))
        probabilities = scorer.probabilities(scores)[0]  # (C+1, H, W)
        yield Scored(record, probabilities.cpu().numpy())
