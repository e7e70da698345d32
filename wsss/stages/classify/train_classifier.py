"""Train the classifier on image labels."""

from __future__ import annotations

from typing import Any

from pydantic import validate_call
from torch import nn

from wsss.artefacts.files import ArtefactError, PathLike
from wsss.artefacts.formats import Manifest, open_tensors, read_manifest
from wsss.artefacts.networks import load_network, with_beside
from wsss.config.classifiers import (
    ClassifierInitial,
    ClassifierTraining,
    Network,
    TrainedInitial,
    Training,
)
from wsss.config.networks import Coloured
from wsss.data.datasets import ClassificationDataset
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.training import Schedule, seed_everything
from wsss.training.run import Product, fit, shaping, start
from wsss.training.schedule import epochs_to_iterations
from wsss.training_methods.registry import GROUPS, LOSSES, PREPARED, TRAINED


@validate_call
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    history: PathLike,
    network: Network,
    initial: ClassifierInitial,
    training: Training,
    seed: int,
    initial_weights: PathLike | None = None,
) -> None:
    """Read images and their labels, write the trained classifier and its history.

    Args:
        manifest: The data set.
        weights: Where to write the classifier.
        history: Where to write its losses and rates.
        network: The classifier's settings.
        initial: Where its weights come from; from a trained classifier all are taken, its heads' too.
        training: How it is trained.
        seed: Of all chance.
        initial_weights: Weights of the classifier that ``initial`` names.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    seed_everything(seed)
    classifier = build_classifier(network, data.num_classes)
    params = _start(classifier, data, network, initial, training, seed, initial_weights)
    kind = training.kind
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
    network: Coloured,
    initial: ClassifierInitial,
    training: ClassifierTraining,
    seed: int,
    trained: PathLike | None,
) -> dict[str, Any]:
    """Give the classifier its initial weights, of another training where the settings say so."""
    if not isinstance(initial, TrainedInitial):
        return start(classifier, data, network, initial, training, seed)
    name = initial.classifier
    if trained is None:
        raise ArtefactError(f"initial_weights: expected those of the trained classifier {name!r}, found none")
    load_network(classifier, trained, data)
    with open_tensors(trained, "weights") as shard:
        origin = {**shard.params["initial"], "classifier": name}  # what that training has seen, this one has
    return shaping(data, network, origin, training, seed)


def augmentation(network: Coloured, training: ClassifierTraining, seed: int) -> dict[str, Any]:
    """What a :class:`wsss.data.datasets.RescaledDataset` takes from a classifier's settings."""
    mean, std = network.colours
    return {"crop": training.crop, "rescale": training.rescale, "mean": mean, "std": std, "seed": seed}


def schedule(training: ClassifierTraining, images: int) -> Schedule:
    """So many epochs over the images."""
    return Schedule(
        epochs_to_iterations(training.epochs, images, training.batch * training.accumulate),
        training.batch,
        training.accumulate,
        training.optimizer,
        momentum=training.momentum or 0.0,
        precision=training.precision,
    )
