"""Segment images by the single-stage network, and refine the result on the real picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from pydantic import validate_call
from torch import Tensor

from wsss.artefacts.class_maps import size_of
from wsss.artefacts.formats import ArtefactError, Manifest, PathLike, Record, read_image, read_manifest
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, label_shard
from wsss.config.networks import Coloured
from wsss.config.single_stage import SingleStageInference
from wsss.models.colours import with_colours
from wsss.prediction.label_images import Scored, most_probable
from wsss.prediction.scorers import load_single_stage
from wsss.prediction.segmentation import resized
from wsss.single_stage.registry import network_model


@again_if_overtaken
@validate_call
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    labels: PathLike,
    index: PathLike,
    kind: str,
    network: dict[str, Any],
    settings: SingleStageInference,
    split: str,
    shard: str,
) -> None:
    """Write one shard's predicted label maps, at the images' own sizes.

    Args:
        manifest: The data set.
        weights: The trained network.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        kind: The method, a key of :data:`wsss.single_stage.registry.METHODS`.
        network: The network's settings.
        settings: How it labels an image. With ``tags`` only the background and the classes that the manifest
            gives the image may win.
        split: ``train``, ``val`` or ``test``.
        shard: Which part of the split, such as ``002of048``.
    """
    asked = with_colours(network_model(kind).model_validate(network))
    if settings.tags:
        _check_tags(manifest, split)
    data = read_manifest(manifest)
    shown = {"settings": settings.model_dump(), "split": split}
    provenance = Provenance(
        "predict_single_stage_masks",
        settings={**shown, "kind": kind, "network": asked.model_dump(), "shard": shard},
        params=shown,
        inputs={"manifest": manifest, "weights": weights},
    )
    with label_shard(labels, index, data.shard(split, shard), provenance, f"predicting {split}") as out:
        predictions = _predictions(data, out.missing, weights, kind, asked, settings)
        for label in most_probable(predictions, settings.crf):
            out.write(label)


def _check_tags(manifest: PathLike, split: str) -> None:
    """Without any image label, background would win everywhere, and look like a prediction."""
    records = read_manifest(manifest).split(split)
    if records and not any(record.classes for record in records):
        raise ArtefactError(
            f"{manifest}: expected image labels of {split!r} for an inference with tags: true, found "
            f"none for {len(records)} images; leave that inference out of the data set's single_stage"
        )


def _predictions(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    kind: str,
    network: Coloured,
    settings: SingleStageInference,
) -> Iterator[Scored]:
    scorer = load_single_stage(kind, weights, data, network, settings.side, settings.source)
    for record in records:
        scores = resized(scorer.scores(read_image(record)[None]), size_of(record))
        planes = scorer.probabilities(scores)[0]  # (C+1, H, W)
        yield _masked(record, planes) if settings.tags else Scored(record, planes.cpu().numpy())


def _masked(record: Record, planes: Tensor) -> Scored:
    """Only the planes of background and of the image's classes, as shares of their sum, (K+1, H, W)."""
    labels = [0, *(name + 1 for name in record.classes)]
    kept = planes[labels]
    # where all of them are too small for single precision they stay 0, and background wins
    shares = kept / kept.sum(0).clamp(min=torch.finfo(kept.dtype).tiny)
    return Scored(record, shares.cpu().numpy(), labels)
