"""Train IRNet on the confident labels made from class maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from pydantic import validate_call
from torch import Tensor, nn

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import ArtefactError, Record, read_image, read_label_index, read_manifest
from wsss.config.networks import Coloured, Initial
from wsss.config.refiners import IrnNetwork, IrnTraining
from wsss.data.transforms import long_side_factor, normalise, rescale, to_tensor
from wsss.methods.affinity_loss import irn_losses
from wsss.methods.void import VOID
from wsss.models.colours import with_colours
from wsss.models.irnet import IRNet, build_irnet
from wsss.training import Schedule, seed_everything
from wsss.training.run import Product, fit, label_dataset, start
from wsss.training.schedule import epochs_to_iterations

THRESHOLDS = ("threshold", "foreground", "background")  # settings of label maps that the error names


@validate_call
def run(
    *,
    manifest: PathLike,
    labels: Sequence[PathLike],
    indexes: Sequence[PathLike],
    weights: PathLike,
    history: PathLike,
    network: IrnNetwork,
    initial: Initial,
    training: IrnTraining,
    seed: int,
) -> None:
    """Read images and confident labels, write the trained IRNet, its backbone included, and its history.

    Raises:
        ArtefactError: If the labels of most images that show a class leave nothing to tell apart.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    seed_everything(seed)
    irnet = build_irnet(network)
    params = start(irnet.backbone, data, network, initial, training, seed)
    dataset = label_dataset(data, labels, indexes, network, training, seed)
    check_kinds(dataset.sources, indexes)
    product = Product("train_irn", weights, history, params, {"manifest": manifest, "labels": indexes})
    fit(
        irnet,
        partial(_losses, radius=training.radius),
        dataset,
        _groups(irnet, training),
        _schedule(training, len(dataset)),
        product,
        finish=partial(
            _centre_displacement,
            records=dataset.sources,
            network=network,
            long_side=training.long_side,
        ),
    )


def check_kinds(records: Sequence[Record], indexes: Sequence[PathLike]) -> None:
    """Refuse label maps that mostly hold no pair of foreground and background, of which IRNet could learn.

    Args:
        records: The training images; those without a class are background throughout, rightly.
        indexes: The indexes of all label maps.

    Raises:
        ArtefactError: If more than half of the images with a class show one kind of label alone, or none;
            the message names the label thresholds.
    """
    parts = [read_label_index(index) for index in indexes]
    labels = {image: found for part in parts for image, found in part.labels.items()}
    if unknown := [record.id for record in records if not labels.get(record.id)]:
        raise ArtefactError(
            f"{indexes[0]} and the other indexes: expected the labels that occur in each image, found none "
            f"for {len(unknown)}, for instance {unknown[0]!r}; remove them and run again"
        )
    shown = [set(labels[record.id]) - {VOID} for record in records if record.classes]
    foreground = sum(bool(kinds) and 0 not in kinds for kinds in shown)
    background = sum(kinds == {0} for kinds in shown)
    neither = sum(not kinds for kinds in shown)
    alone = foreground + background + neither
    if 2 * alone <= len(shown):
        return
    settings = parts[0].params.get("settings", {})
    chosen = ", ".join(f"{key} {settings[key]}" for key in THRESHOLDS if key in settings)
    raise ArtefactError(
        f"{indexes[0]} and the other indexes: expected foreground and background labels in most of the "
        f"{len(shown)} images that show a class, found one kind alone in {alone}: {foreground} only "
        f"foreground, {background} only background, {neither} neither. IRNet learns from pairs of both. The "
        f"label thresholds ({chosen or 'not said'}) do not suit these maps: raise the refiner's "
        "labels.background where there is only foreground, lower labels.foreground where there is only "
        "background, or take a refiner as refiners.irn_rule, of which these and pseudo.threshold, which cuts "
        "the walked maps, follow the maps: labels {threshold: half_maximum, foreground: {above: 0.12}, "
        "background: {below: 0.1}}, pseudo {threshold: half_maximum}"
    )


def _losses(irnet: nn.Module, batch: dict[str, Tensor], radius: int) -> dict[str, Tensor]:
    output = irnet(batch["images"])
    return irn_losses(output.edge, output.displacement, batch["labels"], radius)


def _groups(irnet: IRNet, training: IrnTraining) -> list[dict[str, Any]]:
    rates = {"edge": training.lr, "displacement": training.displacement_lr}
    return [
        {
            "name": name,
            "params": params,
            "lr": rates[name],
            "power": training.power,
            "weight_decay": training.weight_decay,
        }
        for name, params in irnet.trainable_groups().items()
        if params
    ]


def _schedule(training: IrnTraining, images: int) -> Schedule:
    return Schedule(
        epochs_to_iterations(training.epochs, images, training.batch * training.accumulate),
        training.batch,
        training.accumulate,
        "sgd",
        momentum=training.momentum,
        precision=training.precision,
    )


@torch.no_grad()
def _centre_displacement(
    irnet: nn.Module, records: Sequence[Record], network: Coloured, long_side: int | None
) -> None:
    """Set what the displacement head subtracts from now on: its mean over the training images.

    Args:
        irnet: The trained network.
        records: The training images.
        network: Its settings.
        long_side: The images' working size in pixels; None: their own.
    """
    if not isinstance(irnet, IRNet) or irnet.displacement is None:
        return
    mean = irnet.displacement.mean
    total = torch.zeros_like(mean)
    for record in records:
        factor = long_side_factor((record.height, record.width), long_side)
        picture = rescale(read_image(record), factor)
        image = to_tensor(normalise(picture, *network.colours))
        total += irnet(image[None].to(mean.device)).displacement.mean((0, 2, 3))
    mean.add_(total / len(records))
