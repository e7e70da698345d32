"""What a way to train a classifier is: a module that has the members of :class:`TrainingMethod`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn


class Trained(NamedTuple):
    """What a training writes.

    Attributes:
        state: The classifier's own tensors, by name, as all later stages read them.
        beside: Others that are worth keeping, by name; no later stage reads them.
    """

    state: Mapping[str, Tensor]
    beside: Mapping[str, Tensor]


Settings = Any  # the model of the kind's own settings
Prepare = Callable[[nn.Module, Settings], nn.Module]
Losses = Callable[[nn.Module, Mapping[str, Tensor], Settings], dict[str, Tensor]]
Groups = Callable[[nn.Module, Settings], list[dict[str, Any]]]
Finish = Callable[[nn.Module, Settings], Trained]


class TrainingMethod(Protocol):
    """The members of a module that trains classifiers; ``training`` are the settings of its kind."""

    def prepared(self, classifier: nn.Module, training: Settings) -> nn.Module:
        """The network that is trained: the classifier, which holds its initial weights, or one around it."""

    def losses(
        self, network: nn.Module, batch: Mapping[str, Tensor], training: Settings
    ) -> dict[str, Tensor]:
        """Losses by name, each of which contains ``loss``, of ``images`` (B, 3, H, W) and ``tags`` (B, C)."""

    def groups(self, network: nn.Module, training: Settings) -> list[dict[str, Any]]:
        """Parameter groups, each with ``name``, ``params``, ``lr``, ``power`` and ``weight_decay``."""

    def trained(self, network: nn.Module, training: Settings) -> Trained:
        """What is written of the trained network."""
