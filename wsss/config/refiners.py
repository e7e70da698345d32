"""Settings of refiners: how class maps become pseudo labels, by way of IRNet or straight."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from wsss.config.fields import (
    Count,
    NotNegative,
    NotNegativeInt,
    Pixels,
    Positive,
    Precision,
    Range,
    Settings,
    Threshold,
    Unit,
    distinct,
    keys_of,
)
from wsss.config.methods import MapKind
from wsss.config.networks import Backbone, Coloured, Crf, Initial

MapKinds = Annotated[list[MapKind], Field(min_length=1), AfterValidator(distinct)] | None


class Pseudo(Settings):
    """How maps are cut into pseudo labels."""

    threshold: Threshold
    """Background score: a number of the sweep, or a rule that finds it in the maps."""
    crf: Crf | None = None
    """Dense CRF; None: none."""


class Unrefined(Settings):
    """Pseudo labels straight from the maps."""

    maps: MapKinds = None
    """Kinds of maps, by method or maker, its threshold was chosen for; None: any, where it is a rule."""
    pseudo: Pseudo


class Above(Settings):
    """A score above the map's threshold."""

    above: Unit
    """Distance; at most half way to 1 is taken."""


class Below(Settings):
    """A score below the map's threshold."""

    below: Unit
    """Distance; at most half way to 0 is taken."""


class Labels(Settings):
    """IRNet's training labels: confident foreground and background."""

    threshold: Threshold | None = None
    """What ``above`` and ``below`` are distances from; None where neither is given."""
    foreground: Unit | Above
    """Score of background when confident foreground is sought."""
    background: Unit | Below
    """Score of background when confident background is sought."""
    gt_prob: Unit
    """Confidence of a label in the CRF's unary term."""
    crf: Crf


class IrnBackbone(Backbone):
    """IRNet's backbone, which does not learn."""

    dilate: bool = False
    """Whether the stages that lose their stride are dilated instead; IRN's last stage is not."""


class IrnNetwork(Coloured):
    """IRNet's heads on a backbone."""

    backbone: IrnBackbone
    displacement: bool = False
    """Whether there is a displacement head beside the edges."""


class IrnTraining(Settings):
    """IRNet's training."""

    epochs: Count
    """Passes over the images."""
    batch: Count
    """Images a step."""
    accumulate: Count = 1
    """Steps whose gradients are averaged for one update."""
    crop: Pixels
    """Side of the training images, pixels."""
    scale: Range
    """Of the random rescaling."""
    long_side: Pixels | None = None
    """Size of an image's long side that ``scale`` is of, pixels; None: its own."""
    radius: Annotated[int, Field(ge=2)]
    """Of the pairs, cells of the quarter grid."""
    lr: Positive
    """Learning rate of the edge head."""
    displacement_lr: Positive
    """Learning rate of the displacement head."""
    momentum: Unit
    weight_decay: NotNegative
    power: NotNegative
    """Of the polynomial schedule."""
    precision: Precision
    """``mixed`` is float16 on a GPU and full on a CPU."""


class Walk(Settings):
    """The random walk of class maps that stops at edges."""

    radius: Annotated[int, Field(ge=2)]
    """Of a step, cells of the quarter grid."""
    beta: Positive
    """Exponent of the affinities."""
    log2_steps: NotNegativeInt
    """Logarithm of the number of steps to base 2."""
    normalise: Literal["mass", "mean"] = "mass"
    """mass is IRN's; mean divides by the walk of a map of ones."""
    long_side: Pixels | None = None
    """Working size of an image's long side, pixels; None: its own."""
    pad_to: Pixels | None = None
    """Side up to which the picture is padded, pixels; None: not at all."""


class Irn(Settings):
    """IRNet between maps and pseudo labels."""

    maps: MapKinds = None
    """Kinds of maps, by method or maker, its thresholds were chosen for; None: any, where all are rules."""
    labels: Labels
    network: IrnNetwork
    initial: Initial
    training: IrnTraining
    walk: Walk
    pseudo: Pseudo


def _kind(value: Any) -> str:
    return "irn" if {"labels", "network", "initial", "training", "walk"} & keys_of(value) else "unrefined"


Refiner = Annotated[Annotated[Unrefined, Tag("unrefined")] | Annotated[Irn, Tag("irn")], Discriminator(_kind)]
