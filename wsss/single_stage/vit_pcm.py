"""ViT-PCM: patch classes by image labels and by their equivariance, on one vision transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from wsss.config import fields
from wsss.config.fields import (
    Arguments,
    Count,
    NotNegative,
    NotNegativeInt,
    Pixels,
    Positive,
    Text,
    Unit,
    wrong,
)
from wsss.config.networks import Coloured
from wsss.single_stage import apc
from wsss.single_stage.contract import SquareTraining, Variant
from wsss.single_stage.patches import check_sides

if TYPE_CHECKING:
    import numpy as np

    from wsss.models.apc import APC
    from wsss.single_stage.contract import Config, Parts, Picture
    from wsss.single_stage.vit_pcm_training import Equivariant

TITLE = "ViT-PCM, a vision transformer whose patches learn classes from image labels"
SOURCES = ("patches",)
MAPS = "patches"


class Network(Coloured):
    """APC's without a decoder: a vision transformer, LSTMs along rows and columns, a patch classifier."""

    model: Text
    """timm's name of a vision transformer."""
    arguments: Arguments = {}
    """Keywords for timm's constructor."""
    lstm: Count
    """Units a direction."""
    dropout: Unit
    """Probability, on the patches before the LSTMs."""
    lstm_dropout: Unit = 0.0
    """Probability, then on what each direction of an LSTM reads, the same features all along a line."""
    classifier_dropout: Unit = 0.0
    """Probability, on the LSTMs' outputs before the patch classifier."""
    lstm_initial: Literal["torch", "keras"] = "torch"
    """How the LSTMs are drawn: uniform, or Keras's way."""
    native_side: Pixels
    """Side at which the position embedding is exact, pixels."""


class Second(fields.Settings):
    """The second view of an image, of which several are laid into one picture of the first view's size."""

    side: Pixels
    """Both sides, pixels; a part of the first view's."""
    crop: Pixels
    """Side of the square that is cut out of the resized image, if one is, pixels."""
    probability: Unit
    """That one is; otherwise the view shows the whole image."""


class Training(SquareTraining):
    """Training that warms up, on two views of each image."""

    warm_up: NotNegativeInt
    """Epochs at the first learning rate, fewer than all."""
    freeze: bool
    """Whether the encoder is frozen in the warm-up."""
    learns: Literal["all"] | Count
    """What of the encoder learns: all, or so many of its last blocks and the final norm."""
    new_adam: bool
    """Whether Adam forgets its moments after the warm-up."""
    warm_up_lr: Positive
    """Learning rate of the warm-up."""
    lr: Positive
    """Learning rate after it."""
    patch_decay: NotNegative
    """Of the patch classifier's weights, added to their gradient."""
    colour: Unit
    """How far brightness, contrast and saturation of the first view go from 1 at most."""
    second: Second
    equivariance: NotNegative
    """Weight of the second view's loss."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.warm_up >= self.epochs:
            raise wrong(f"fewer than all {self.epochs} epochs", str(self.warm_up), "warm_up")
        if self.side % self.second.side:
            raise wrong(f"a part of the side {self.side}", str(self.second.side), "second", "side")
        if self.second.crop > self.side:
            raise wrong(f"at most the side {self.side}", str(self.second.crop), "second", "crop")
        tiles = (self.side // self.second.side) ** 2
        if self.batch % tiles:
            raise wrong(f"a multiple of the {tiles} views that a picture holds", str(self.batch), "batch")
        return self


class Settings(Variant):
    """Patch classes without contrast and decoder."""

    kind: Literal["vit_pcm"]
    network: Network
    training: Training


def check(key: str, name: str, variant: Config, inferences: Mapping[str, Config]) -> list[str]:
    """Findings of sides that are no whole patches, the second view's among them."""
    second = {f"single_stage.{name}.training.second.side": variant["training"]["second"]["side"]}
    return check_sides(key, name, variant, inferences, second)


def told(training: Config) -> dict[str, Any]:
    """Pooling, epochs, and the weight of the equivariance."""
    return {"pooling": "max", **{key: training[key] for key in ("epochs", "equivariance")}}


def views(training: Training, square: Picture, rng: np.random.Generator) -> Parts:
    """Two views of an image, see :func:`wsss.single_stage.vit_pcm_views.two_views`."""
    from wsss.single_stage.vit_pcm_views import two_views

    return two_views(square, training.colour, training.second, rng)


def build(network: Network, num_classes: int) -> APC:
    """APC's network without its decoder, see :class:`wsss.models.apc.APC`."""
    from wsss.models.apc import APC
    from wsss.models.colours import arguments_of

    return APC(num_classes=num_classes, decoder=None, **arguments_of(network))


def recipe(network: APC, training: Training, iterations: Callable[[int], int]) -> Equivariant:
    """The training, see :class:`wsss.single_stage.vit_pcm_training.Equivariant`."""
    from wsss.single_stage.vit_pcm_training import Equivariant

    return Equivariant(network, training, iterations(training.warm_up))


scores = apc.scores
probabilities = apc.probabilities
fixed = apc.fixed
