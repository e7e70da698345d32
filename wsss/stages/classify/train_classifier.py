"""Train the classifier on image labels."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_manifest
from wsss.data.datasets import ClassificationDataset
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.training import Schedule, seed_everything
from wsss.training.run import Product, fit, start
from wsss.training.schedule import epochs_to_iterations


def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    history: PathLike,
    network: Mapping[str, Any],
    initial: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
) -> None:
    """Read images and their labels, write the trained classifier and its history."""
    network = with_colours(network)
    data = read_manifest(manifest)
    seed_everything(seed)
    classifier = build_classifier(network, data.num_classes)
    params = start(classifier, data, network, initial, training, seed)
    dataset = ClassificationDataset(
        data.split("train"), data.num_classes, **augmentation(network, training, seed)
    )
    product = Product("train_classifier", weights, history, params, {"manifest": manifest})
    fit(
        classifier,
        tag_losses,
        dataset,
        branch_groups(classifier, training),
        schedule(training, len(dataset)),
        product,
    )


def augmentation(network: Mapping[str, Any], training: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What a :class:`wsss.data.datasets.RescaledDataset` takes from a classifier's settings."""
    taken = {"crop": training["crop"], "rescale": training["rescale"]}
    return {**taken, "mean": network["mean"], "std": network["std"], "seed": seed}


def schedule(training: Mapping[str, Any], images: int) -> Schedule:
    """So many epochs over the images, by AdamW unless the settings say otherwise."""
    batch, accumulate = training["batch"], training["accumulate"]
    iterations = epochs_to_iterations(training["epochs"], images, batch * accumulate)
    descent = {key: training[key] for key in ("optimizer", "momentum") if training.get(key)}
    return Schedule(iterations, batch, accumulate, precision=training["precision"], **descent)


def tag_losses(classifier: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Binary cross-entropy of both branches against the image's labels (AD-CAM, section 4.1).

    Args:
        classifier: Returns a ``ClassifierOutput``.
        batch: ``images`` (B, 3, H, W) and ``tags`` (B, C).

    Returns:
        ``cnn_loss`` and, for a network with a class token, ``vit_loss``.
    """
    output = classifier(batch["images"], attention=False)
    logits = {"cnn_loss": output.cnn_logits, "vit_loss": output.vit_logits}
    return {
        name: F.binary_cross_entropy_with_logits(value, batch["tags"])
        for name, value in logits.items()
        if value is not None
    }


def branch_groups(classifier: nn.Module, training: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Parameter groups of the two branches, each with its own rate and fall of the rate.

    Args:
        classifier: Has ``parameter_groups`` and ``head_parameters``.
        training: ``cnn_lr``, ``cnn_power`` and, where that branch learns, ``vit_lr``, ``vit_power``;
            ``weight_decay``; optionally ``head_factor``, by which the heads, which start at random, learn
            faster: they are then groups of their own, such as ``cnn_head``.
    """
    branches: dict[str, list[nn.Parameter]] = classifier.parameter_groups()  # type: ignore[operator]
    heads = {id(parameter) for parameter in classifier.head_parameters()}  # type: ignore[operator]
    if training.get("head_factor", 1) == 1:
        heads = set()
    return [
        group
        for branch, params in branches.items()
        if params
        for group in _groups_of(branch, params, heads, training)
    ]


def _groups_of(
    branch: str, params: Sequence[nn.Parameter], heads: Container[int], training: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The groups of one branch, its head apart if that has another rate."""
    body = [parameter for parameter in params if id(parameter) not in heads]
    head = [parameter for parameter in params if id(parameter) in heads]
    rate = training[f"{branch}_lr"]
    rates = {branch: (body, rate), f"{branch}_head": (head, rate * training.get("head_factor", 1))}
    for name, (chosen, lr) in rates.items():
        if chosen:
            yield {
                "name": name,
                "params": chosen,
                "lr": lr,
                "power": training[f"{branch}_power"],
                "weight_decay": training["weight_decay"],
            }
