"""Train the segmentation network on pseudo labels, or for an upper bound on true masks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_manifest
from wsss.models.colours import with_colours
from wsss.models.deeplabv2 import BY_BACKBONE, MultiScaleEncoderDecoder, build_segmenter, default_optimizer
from wsss.training import Schedule, seed_everything
from wsss.training.run import Product, fit, label_dataset, labels_seen, start

GROUPS = ("backbone", "head", "head_bias")
# By optimiser, how much faster the head's weights and its biases learn than the backbone. Twice the rate for
# biases is gradient descent's habit; Adam's steps have one length whatever the gradient's.
HEAD_FACTORS = {"sgd": (10, 20), "adamw": (10, 10)}

log = logging.getLogger(__name__)


def run(
    *,
    manifest: PathLike,
    labels: Sequence[PathLike],
    indexes: Sequence[PathLike],
    weights: PathLike,
    history: PathLike,
    network: Mapping[str, Any],
    initial: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
) -> None:
    """Read images and label maps, write the trained network and its history.

    Where the label maps are true masks, by their index, the network's artefact says so, too, with the number
    of images that have one; the others are left out.

    Args:
        manifest: The data set.
        labels: Folders of label maps, one a shard.
        indexes: Their indexes, in the same order.
        weights: Where to write the trained network.
        history: Where to write one row per update.
        network: See :func:`wsss.models.deeplabv2.build_segmenter`.
        initial: See :func:`wsss.pretrained.initial_weights.load_initial`.
        training: ``iterations``, ``batch``, ``accumulate``, ``crop`` and ``scale`` of the images;
            ``optimizer``, ``sgd``, ``adamw`` or ``by_backbone`` (:func:`default_optimizer`'s); ``lr`` of the
            backbone, for the head times ``HEAD_FACTORS``; ``momentum`` of sgd, ``weight_decay``, ``power``,
            ``lr_step``, ``precision``.
        seed: Of all chance.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    seed_everything(seed)
    segmenter = build_segmenter(network, data.num_classes + 1)
    params = start(segmenter.backbone, data, network, initial, training, seed)
    if seen := labels_seen(indexes):
        params["labels"] = seen
    dataset = label_dataset(data, labels, indexes, network, training, seed, some=bool(seen))
    product = Product("train_segmenter", weights, history, params, {"manifest": manifest, "labels": indexes})
    if training.get("optimizer", BY_BACKBONE) == BY_BACKBONE:
        training = {**training, "optimizer": default_optimizer(segmenter.backbone)}
    log.info("norm %s, optimizer %s", segmenter.decode_head.norm, training["optimizer"])
    fit(segmenter, _losses, dataset, _groups(segmenter, training), _schedule(training), product)


def _losses(segmenter: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = segmenter.losses(batch["images"], batch["labels"])  # type: ignore[operator]
    return losses


def _groups(segmenter: MultiScaleEncoderDecoder, training: Mapping[str, Any]) -> list[dict[str, Any]]:
    factors = HEAD_FACTORS[training["optimizer"]]
    groups = segmenter.parameter_groups(training["lr"], training["weight_decay"], *factors)
    return [
        {**group, "name": name, "power": training["power"]}
        for name, group in zip(GROUPS, groups, strict=True)
    ]


def _schedule(training: Mapping[str, Any]) -> Schedule:
    return Schedule(
        training["iterations"],
        training["batch"],
        training["accumulate"],
        training["optimizer"],
        training["momentum"],
        training["lr_step"],
        training["precision"],
    )
