"""Train the segmentation network on pseudo labels, or for an upper bound on true masks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import validate_call
from torch import Tensor, nn

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_manifest
from wsss.config.networks import Initial
from wsss.config.segmenters import SegmenterNetwork, SegmenterTraining
from wsss.models.colours import with_colours
from wsss.models.deeplabv2 import MultiScaleEncoderDecoder, build_segmenter, default_optimizer
from wsss.training import Schedule, seed_everything
from wsss.training.run import Product, fit, label_dataset, labels_seen, start

GROUPS = ("backbone", "head", "head_bias")
# By optimiser, how much faster the head's weights and its biases learn than the backbone. Twice the rate for
# biases is gradient descent's habit; Adam's steps have one length whatever the gradient's.
HEAD_FACTORS = {"sgd": (10, 20), "adamw": (10, 10)}

log = logging.getLogger(__name__)


@validate_call
def run(
    *,
    manifest: PathLike,
    labels: Sequence[PathLike],
    indexes: Sequence[PathLike],
    weights: PathLike,
    history: PathLike,
    network: SegmenterNetwork,
    initial: Initial,
    training: SegmenterTraining,
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
        network: The network's settings.
        initial: Where its weights come from.
        training: How it is trained, by :func:`default_optimizer`'s optimiser where that is ``by_backbone``.
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
    asked = training.optimizer
    optimizer = default_optimizer(segmenter.backbone) if asked == "by_backbone" else asked
    log.info("norm %s, optimizer %s", segmenter.decode_head.norm, optimizer)
    groups = _groups(segmenter, training, HEAD_FACTORS[optimizer])
    fit(segmenter, _losses, dataset, groups, _schedule(training, optimizer), product)


def _losses(segmenter: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = segmenter.losses(batch["images"], batch["labels"])  # type: ignore[operator]
    return losses


def _groups(
    segmenter: MultiScaleEncoderDecoder, training: SegmenterTraining, factors: tuple[int, int]
) -> list[dict[str, Any]]:
    groups = segmenter.parameter_groups(training.lr, training.weight_decay, *factors)
    return [
        {**group, "name": name, "power": training.power} for name, group in zip(GROUPS, groups, strict=True)
    ]


def _schedule(training: SegmenterTraining, optimizer: Literal["sgd", "adamw"]) -> Schedule:
    return Schedule(
        training.iterations,
        training.batch,
        training.accumulate,
        optimizer,
        training.momentum,
        training.lr_step,
        training.precision,
    )
