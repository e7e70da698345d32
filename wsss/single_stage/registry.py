"""The single-stage methods, and what each part of the program needs of them.

A new method is a module beside this one with the members of :class:`~.contract.Method`, and an entry in
:data:`METHODS`. All else here follows from the table. A stage takes the dict of the member it runs, so that
its digest covers that member and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsss.single_stage import apc, toco, vit_pcm

if TYPE_CHECKING:
    from wsss.config.networks import Coloured
    from wsss.single_stage.contract import (
        Build,
        Check,
        Fixed,
        MakeRecipe,
        Method,
        Probabilities,
        Scores,
        SquareTraining,
        Told,
        Variant,
        Views,
    )

METHODS: dict[str, Method] = {
    "apc": apc,
    "vit_pcm": vit_pcm,
    "toco": toco,
}

SETTINGS: dict[str, type[Variant]] = {kind: method.Settings for kind, method in METHODS.items()}
TITLES: dict[str, str] = {kind: method.TITLE for kind, method in METHODS.items()}
SOURCES: dict[str, tuple[str, ...]] = {kind: method.SOURCES for kind, method in METHODS.items()}
MAPS: dict[str, str] = {kind: method.MAPS for kind, method in METHODS.items()}
CHECKS: dict[str, Check] = {kind: method.check for kind, method in METHODS.items() if method.check}
TOLD: dict[str, Told] = {kind: method.told for kind, method in METHODS.items()}
BUILD: dict[str, Build] = {kind: method.build for kind, method in METHODS.items()}
VIEWS: dict[str, Views] = {kind: method.views for kind, method in METHODS.items() if method.views}
RECIPES: dict[str, MakeRecipe] = {kind: method.recipe for kind, method in METHODS.items()}
SCORES: dict[str, Scores] = {kind: method.scores for kind, method in METHODS.items()}
PROBABILITIES: dict[str, Probabilities] = {kind: method.probabilities for kind, method in METHODS.items()}
FIXED: dict[str, Fixed] = {kind: method.fixed for kind, method in METHODS.items() if method.fixed}


def network_model(kind: str) -> type[Coloured]:
    """The model of a method's network settings."""
    model: Any = SETTINGS[kind].model_fields["network"].annotation
    return model


def training_model(kind: str) -> type[SquareTraining]:
    """The model of its training's settings."""
    model: Any = SETTINGS[kind].model_fields["training"].annotation
    return model
