"""What a single-stage method is: a module that has the members of :class:`Method`, listed in the registry.

Such a method trains one network on image labels, end to end, which then labels pixels by itself. The stages
do what all methods share: reading images, the optimiser's schedule, checkpoints, shards, dense CRFs, scores.

The configuration reads these modules when Snakemake plans. So they import neither torch nor numpy; functions
that compute import them where they run, or from a module beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from wsss.config.fields import Count, Pixels, Precision, Settings
from wsss.config.networks import Coloured, Initial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

Config = Mapping[str, Any]


class SquareTraining(Settings):
    """What every method's training has: images come resized to a square, and mirrored at random."""

    epochs: Count
    """Passes over the images."""
    batch: Count
    """Images a step."""
    accumulate: Count = 1
    """Steps whose gradients are averaged for one update."""
    side: Pixels
    """Both sides of the resized image, pixels."""
    precision: Precision
    """``mixed`` is float16 on a GPU and full on a CPU."""


class Variant(Settings):
    """What every method's variants have; a method's own model adds ``kind``, its name in the registry."""

    network: Coloured
    initial: Initial
    training: SquareTraining
    side: Pixels
    """Both sides of the image whose scores become class maps, pixels."""


class Recipe(Protocol):
    """How one training goes: what learns, at which rates, by which losses, and what changes on the way."""

    @property
    def optimizer(self) -> Literal["adamw", "adam", "sgd"]:
        """See :class:`wsss.training.schedule.Schedule`."""

    @property
    def restart(self) -> int | None:
        """Iteration, counted from 0, at which the optimiser forgets its moments; None: never."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of terms of the loss, by name; one that was 0 in every update although weighted is said."""

    def begin(self, iteration: int) -> None:
        """Set what an iteration needs, counted from 0; after an interruption it is called for a later one."""

    def groups(self) -> list[dict[str, Any]]:
        """All parameters in groups, see :func:`wsss.training.engine.train`."""

    def losses(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms of the loss, by name, of ``images`` (B, 3, H, W), ``tags`` (B, C) and other views."""


# A torch module with ``encoder``, the part that starts from the initial weights, and ``stride``, of which
# the sides of its images must be multiples, in pixels.
Network: TypeAlias = Any
Check = Callable[[str, str, Config, Mapping[str, Config]], list[str]]
Told = Callable[[Config], "dict[str, Any]"]
Build = Callable[[Any, int], Network]  # of the model of the method's network settings
Picture: TypeAlias = "NDArray[np.uint8]"
Parts: TypeAlias = "Mapping[str, Picture | Tensor]"
# Of the model of its training's settings:
Views = Callable[[Any, "Picture", "np.random.Generator"], "Parts"]
MakeRecipe = Callable[[Network, Any, Callable[[int], int]], Recipe]
Scores = Callable[[Network, "Tensor", str], "Tensor"]
Probabilities = Callable[["Tensor", str], "Tensor"]
Fixed = Callable[[Network, int], "nn.Module"]


class Method(Protocol):
    """The members of a method's module; ``None`` where a method has no use for one."""

    @property
    def TITLE(self) -> str:
        """How papers write the method, and what it is, for model cards."""

    @property
    def Settings(self) -> type[Variant]:
        """Its settings, with the ``kind`` under which the registry lists it."""

    @property
    def SOURCES(self) -> tuple[str, ...]:
        """Names of what its network says of pixels, of which an inference reads one."""

    @property
    def MAPS(self) -> str:
        """The one of them that becomes class maps, of probabilities."""

    @property
    def check(self) -> Check | None:
        """Findings where a variant and the inferences that it is asked for do not fit together.

        It takes where the configuration names the variant; the variant's name; its settings; the inferences'
        settings by name.
        """

    @property
    def told(self) -> Told:
        """What tells its trainings apart, from their settings: columns of the table of ablations.

        Published figures name the same facts.
        """

    @property
    def build(self) -> Build:
        """The network with random parameters, from its settings and the number of foreground classes C."""

    @property
    def views(self) -> Views | None:
        """What a training sees of one image, from the image resized to a square, uint8 (side, side, 3).

        It takes the training's settings; the square; the source of all chance. What it returns by name is
        uint8 (h, w, 3) where it is a picture, which is then normalised, and a tensor where it is none, each
        of one shape for all images; ``images`` must be there. None: the square, mirrored in half the cases.
        """

    @property
    def recipe(self) -> MakeRecipe:
        """How the network is trained.

        It takes the network, the training's settings, and what turns epochs into iterations.
        """

    @property
    def scores(self) -> Scores:
        """What a source says of normalised images (B, 3, H, W): float32 (B, C+1, h, w), background first."""

    @property
    def probabilities(self) -> Probabilities:
        """Probabilities by a source's scores once these have the pictures' size, (B, C+1, H, W)."""

    @property
    def fixed(self) -> Fixed | None:
        """The network for squares of one side alone, as exporters of graphs can follow it."""
