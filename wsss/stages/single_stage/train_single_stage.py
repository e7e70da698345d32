"""Train a single-stage network on image labels."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import validate_call

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_manifest
from wsss.config.networks import Initial
from wsss.data.datasets import SquareDataset, mirrored
from wsss.models.colours import with_colours
from wsss.prediction.squares import check_side
from wsss.single_stage.registry import BUILD, RECIPES, VIEWS, network_model, training_model
from wsss.training import Schedule, seed_everything
from wsss.training.idle_terms import warn_of_idle_terms
from wsss.training.run import Product, fit, start
from wsss.training.schedule import epochs_to_iterations


@validate_call
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    history: PathLike,
    kind: str,
    network: dict[str, Any],
    initial: Initial,
    training: dict[str, Any],
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
        initial: Where these come from.
        training: How it is trained.
        seed: Of all chance.
    """
    settings = with_colours(network_model(kind).model_validate(network))
    asked = training_model(kind).model_validate(training)
    data = read_manifest(manifest)
    seed_everything(seed)
    model = BUILD[kind](settings, data.num_classes)
    check_side(model, asked.side)
    params = start(model.encoder, data, settings, initial, asked, seed)
    mean, std = settings.colours
    dataset = SquareDataset(
        data.split("train"),
        data.num_classes,
        side=asked.side,
        views=partial(VIEWS[kind], asked) if kind in VIEWS else mirrored,
        mean=mean,
        std=std,
        seed=seed,
    )
    together = asked.batch * asked.accumulate
    iterations = partial(epochs_to_iterations, images=len(dataset), images_per_iteration=together)
    recipe = RECIPES[kind](model, asked, iterations)
    schedule = Schedule(
        iterations(asked.epochs),
        asked.batch,
        asked.accumulate,
        recipe.optimizer,
        precision=asked.precision,
        restart=recipe.restart,
    )
    product = Product("train_single_stage", weights, history, params, {"manifest": manifest}, kind)
    fit(model, recipe.losses, dataset, recipe.groups(), schedule, product, at_iteration=recipe.begin)
    warn_of_idle_terms(history, recipe.weights)
