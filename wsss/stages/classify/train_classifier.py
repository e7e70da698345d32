"""Train the classifier on image labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from wsss.artefacts.files import ArtefactError, PathLike
from wsss.artefacts.formats import Manifest, open_tensors, read_manifest
from wsss.artefacts.networks import load_network, with_beside
from wsss.data.datasets import ClassificationDataset
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.training import Schedule, seed_everything
from wsss.training.run import Product, fit, start
from wsss.training.schedule import epochs_to_iterations
from wsss.training_methods.registry import GROUPS, LOSSES, PREPARED, TRAINED


def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    history: PathLike,
    network: Mapping[str, Any],
    initial: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
    initial_weights: PathLike | None = None,
) -> None:
    """Read images and their labels, write the trained classifier and its history.

    Args:
        manifest: The data set.
        weights: Where to write the classifier.
        history: Where to write its losses and rates.
        network: The classifier's configuration.
        initial: Where its weights come from, see :func:`wsss.pretrained.initial_weights.load_initial`; or
            ``classifier``, the name of a trained one, from which all weights are taken, its heads' too.
        training: How it is trained: ``kind``, a key of
            :data:`wsss.training_methods.registry.TRAINING_METHODS`, and the settings of that.
        seed: Of all chance.
        initial_weights: Weights of the classifier that ``initial`` names.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    seed_everything(seed)
    classifier = build_classifier(network, data.num_classes)
    params = _start(classifier, data, network, initial, training, seed, initial_weights)
    kind = training.get("kind", "tags")
    trainee = PREPARED[kind](classifier, training)
    dataset = ClassificationDataset(
        data.split("train"), data.num_classes, **augmentation(network, training, seed)
    )
    inputs = {"manifest": manifest, **({"initial_weights": initial_weights} if initial_weights else {})}
    fit(
        trainee,
        lambda network, batch: LOSSES[kind](network, batch, training),
        dataset,
        GROUPS[kind](trainee, training),
        schedule(training, len(dataset)),
        Product("train_classifier", weights, history, params, inputs, kind),
        weights_of=lambda network: with_beside(*TRAINED[kind](network, training)),
    )


def _start(
    classifier: nn.Module,
    data: Manifest,
    network: Mapping[str, Any],
    initial: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
    trained: PathLike | None,
) -> dict[str, Any]:
    """Give the classifier its initial weights, of another training where the settings say so."""
    if "classifier" not in initial:
        return start(classifier, data, network, initial, training, seed)
    name = initial["classifier"]
    if trained is None:
        raise ArtefactError(f"initial_weights: expected those of the trained classifier {name!r}, found none")
    load_network(classifier, trained, data)
    with open_tensors(trained, "weights") as shard:
        origin = {**shard.params["initial"], "classifier": name}  # what that training has seen, this one has
    settings = {"network": network, "initial": origin, "training": training}
    return {**settings, "seed": seed, "classes": data.classes}


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
