"""Segment images by the trained network over several scales, and refine the result on the real picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wsss.artefacts.formats import Labels, Manifest, PathLike, Record, read_image, read_manifest
from wsss.artefacts.networks import load_network
from wsss.artefacts.shard_writer import again_if_overtaken, label_shard
from wsss.data.transforms import normalise, to_tensor
from wsss.models.colours import with_colours
from wsss.models.deeplabv2 import build_segmenter
from wsss.prediction.label_images import Prediction, most_probable, provenance_of
from wsss.prediction.segmentation import predict
from wsss.runtime.device import device


@again_if_overtaken
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    labels: PathLike,
    index: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
    split: str,
    shard: str,
) -> None:
    """Write one shard's predicted label maps, at the images' own sizes; image labels are not used.

    Args:
        manifest: The data set.
        weights: The trained segmentation network.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        network: The network's configuration, with ``mean`` and ``std``.
        settings: ``scales``, ``mirror``, and ``crf``, null or the dense CRF's settings.
        split: ``train``, ``val`` or ``test``.
        shard: Which part of the split, such as ``002of048``.
    """
    data, network = read_manifest(manifest), with_colours(network)
    provenance = provenance_of("predict_masks", manifest, weights, network, settings, split, shard)
    with label_shard(labels, index, data.shard(split, shard), provenance, f"predicting {split}") as out:
        for label in label_maps(data, out.missing, weights, network, settings):
            out.write(label)


def label_maps(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Iterator[Labels]:
    """Predict images of any split: label maps of the images' sizes, in the order of the records.

    Arguments as in :func:`run`; also used to draw examples.
    """
    return most_probable(
        _predictions(data, records, weights, with_colours(network), settings), settings["crf"]
    )


def _predictions(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Iterator[Prediction]:
    """One image's probabilities after the other; the network is loaded only when the first is asked for.

    By then the worker processes of :func:`most_probable` are forked, free of a GPU's context.
    """
    model = load_network(build_segmenter(network, data.num_classes + 1), weights, data)
    stride = model.backbone.strides[-1]
    for record in records:
        image = to_tensor(normalise(read_image(record), network["mean"], network["std"])).to(device())
        probabilities = predict(model, image, stride, settings["scales"], settings["mirror"])
        yield Prediction(record, probabilities.cpu().numpy())
