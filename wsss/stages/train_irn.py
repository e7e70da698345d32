"""Train IRNet on the confident labels made from class maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wsss.artefacts import Record, read_image, read_manifest
from wsss.data.transforms import normalise, to_tensor
from wsss.files import PathLike
from wsss.methods.affinity_loss import irn_losses
from wsss.models.irnet import IRNet, build_irnet
from wsss.stages.training_run import Product, fit, label_dataset, start
from wsss.training import Schedule, seed_everything
from wsss.training.schedule import epochs_to_iterations


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
    """Read images and confident labels, write the trained IRNet, its backbone included, and its history."""
    data = read_manifest(manifest)
    seed_everything(seed)
    irnet = build_irnet(network)
    params = start(irnet.backbone, data, network, initial, training, seed)
    dataset = label_dataset(data, labels, indexes, network, training, seed)
    product = Product("train_irn", weights, history, params, {"manifest": manifest, "labels": indexes})
    fit(
        irnet,
        partial(_losses, radius=training["radius"]),
        dataset,
        _groups(irnet, training),
        _schedule(training, len(dataset)),
        product,
        finish=partial(_centre_displacement, records=dataset.sources, network=network),
    )


def _losses(irnet: nn.Module, batch: dict[str, Tensor], radius: int) -> dict[str, Tensor]:
    output = irnet(batch["images"])
    return irn_losses(output.edge, output.displacement, batch["labels"], radius)


def _groups(irnet: IRNet, training: Mapping[str, Any]) -> list[dict[str, Any]]:
    rates = {"edge": training["lr"], "displacement": training.get("displacement_lr")}
    return [
        {
            "name": name,
            "params": params,
            "lr": rates[name],
            "power": training["power"],
            "weight_decay": training["weight_decay"],
        }
        for name, params in irnet.trainable_groups().items()
        if params
    ]


def _schedule(training: Mapping[str, Any], images: int) -> Schedule:
    batch, accumulate = training["batch"], training["accumulate"]
    return Schedule(
        epochs_to_iterations(training["epochs"], images, batch * accumulate),
        batch,
        accumulate,
        "sgd",
        momentum=training["momentum"],
        precision=training["precision"],
    )


@torch.no_grad()
def _centre_displacement(irnet: nn.Module, records: Sequence[Record], network: Mapping[str, Any]) -> None:
    """Set what the displacement head subtracts from now on: its mean over the training images."""
    if not isinstance(irnet, IRNet) or irnet.displacement is None:
        return
    mean = irnet.displacement.mean
    total = torch.zeros_like(mean)
    for record in records:
        image = to_tensor(normalise(read_image(record), network["mean"], network["std"]))
        total += irnet(image[None].to(mean.device)).displacement.mean((0, 2, 3))
    mean.add_(total / len(records))
