"""Segment images by the single-stage network, and refine the result on the real picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from wsss.artefacts.class_maps import size_of
from wsss.artefacts.formats import ArtefactError, Manifest, PathLike, Record, read_manifest
from wsss.artefacts.shard_writer import again_if_overtaken, label_shard
from wsss.models.apc import APCOutput
from wsss.models.colours import with_colours
from wsss.prediction.apc_outputs import apc_outputs, on_grid, resized
from wsss.prediction.label_images import Prediction, most_probable, provenance_of


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
    """Write one shard's predicted label maps, at the images' own sizes.

    Args:
        manifest: The data set.
        weights: The trained network.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        network: The network's configuration, with ``mean`` and ``std``.
        settings: ``source``, one of :data:`SOURCES`; ``side`` of the square, in pixels, that the network sees
            each image as; ``tags``, whether only the background and the classes that the manifest gives the
            image may win; ``crf``, null or the dense CRF's settings.
        split: ``train``, ``val`` or ``test``.
        shard: Which part of the split, such as ``002of048``.
    """
    network = with_colours(network)
    if settings["tags"]:
        _check_tags(manifest, split)
    data = read_manifest(manifest)
    provenance = provenance_of("predict_apc_masks", manifest, weights, network, settings, split, shard)
    with label_shard(labels, index, data.shard(split, shard), provenance, f"predicting {split}") as out:
        predictions = _predictions(data, out.missing, weights, network, settings)
        for label in most_probable(predictions, settings["crf"]):
            out.write(label)


def _check_tags(manifest: PathLike, split: str) -> None:
    """Without any image label, background would win everywhere, and look like a prediction."""
    records = read_manifest(manifest).split(split)
    if records and not any(record.classes for record in records):
        raise ArtefactError(
            f"{manifest}: expected image labels of {split!r} for an inference with tags: true, found "
            f"none for {len(records)} images; leave that inference out of the data set's apc"
        )


def _predictions(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Iterator[Prediction]:
    if settings["source"] not in SOURCES:
        raise ValueError(f"source: expected one of {sorted(SOURCES)}, found {settings['source']!r}")
    probabilities = SOURCES[settings["source"]]
    decode = settings["source"] == "decoder"
    for record, output in apc_outputs(data, records, weights, network, settings["side"], decode=decode):
        planes = probabilities(output, size_of(record))  # (C+1, H, W)
        yield _masked(record, planes) if settings["tags"] else Prediction(record, planes.cpu().numpy())


def _masked(record: Record, planes: Tensor) -> Prediction:
    """Only the planes of background and of the image's classes, as shares of their sum, (K+1, H, W)."""
    labels = [0, *(name + 1 for name in record.classes)]
    kept = planes[labels]
    # where all of them are too small for single precision they stay 0, and background wins
    shares = kept / kept.sum(0).clamp(min=torch.finfo(kept.dtype).tiny)
    return Prediction(record, shares.cpu().numpy(), labels)


def _decoded(output: APCOutput, size: tuple[int, int]) -> Tensor:
    """The decoder's, which is trained on logits that are enlarged before they become probabilities."""
    assert output.pixel_logits is not None
    return resized(output.pixel_logits[0].float(), size).softmax(0)


def _patches(output: APCOutput, size: tuple[int, int]) -> Tensor:
    """The patch classifier's, enlarged as they are: training compares nothing but them, as class maps do."""
    return resized(on_grid(output.scores.float(), output.grid), size)


SOURCES: Mapping[str, Callable[[APCOutput, tuple[int, int]], Tensor]] = {
    "decoder": _decoded,
    "patches": _patches,
}
"""Whose probabilities are taken, at an image's size (C+1, H, W): the decoder's, or the patch classifier's."""
