"""Train a single-stage network on image labels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_manifest
from wsss.data.datasets import SquareDataset, mirrored
from wsss.models.colours import with_colours
from wsss.prediction.squares import check_side
from wsss.single_stage.registry import BUILD, RECIPES, VIEWS
from wsss.training import Schedule, seed_everything
from wsss.training.idle_terms import warn_of_idle_terms
from wsss.training.run import Product, fit, start
from wsss.training.schedule import epochs_to_iterations


def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    history: PathLike,
    kind: str,
    network: Mapping[str, Any],
    initial: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
) -> None:
    """Read images and their labels, write the trained network and its history.

    Images are resized to a square and mirrored at random, or seen as the method says.

    Args:
        manifest: The data set.
        weights: Where to write the trained network.
        history: Where to write one row per iteration; losses as they were added, weights included.
        kind: The method, a key of :data:`wsss.single_stage.registry.METHODS`.
        network: The network's settings; its ``encoder`` gets the initial weights.
        initial: See :func:`wsss.pretrained.initial_weights.load_initial`.
        training: ``epochs``, ``batch``, ``accumulate``, ``side`` in pixels, ``precision``; and what the
            method's recipe reads.
        seed: Of all chance.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    seed_everything(seed)
    model = BUILD[kind](network, data.num_classes)
    check_side(model, training["side"])
    params = start(model.encoder, data, network, initial, training, seed)
    dataset = SquareDataset(
        data.split("train"),
        data.num_classes,
        side=training["side"],
        views=partial(VIEWS[kind], training) if kind in VIEWS else mirrored,
        mean=network["mean"],
        std=network["std"],
        seed=seed,
    )
    batch, accumulate = training["batch"], training["accumulate"]
    iterations = partial(epochs_to_iterations, images=len(dataset), images_per_iteration=batch * accumulate)
    recipe = RECIPES[kind](model, training, iterations)
    schedule = Schedule(
        iterations(training["epochs"]),
        batch,
        accumulate,
        recipe.optimizer,
        precision=training["precision"],
        restart=recipe.restart,
    )
    product = Product("train_single_stage", weights, history, params, {"manifest": manifest}, kind)
    fit(model, recipe.losses, dataset, recipe.groups(), schedule, product, at_iteration=recipe.begin)
    warn_of_idle_terms(history, recipe.weights)
