"""APC: patch classes, their contrast, and a decoder on one vision transformer (APC, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

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
    distinct,
    wrong,
)
from wsss.config.networks import Coloured
from wsss.single_stage.contract import SquareTraining, Variant
from wsss.single_stage.patches import check_sides, on_grid

if TYPE_CHECKING:
    from torch import Tensor, nn

    from wsss.models.apc import APC
    from wsss.single_stage.apc_training import Phases
    from wsss.single_stage.contract import Config

TITLE = "APC, a vision transformer trained end to end on image labels"
SOURCES = ("decoder", "patches")
MAPS = "patches"


class Network(Coloured):
    """A vision transformer, LSTMs along rows and columns of patches, a patch classifier, a decoder."""

    model: Text
    """timm's name of a vision transformer."""
    arguments: Arguments = {}
    """Keywords for timm's constructor."""
    blocks: Annotated[list[Count], Field(min_length=1), AfterValidator(distinct)]
    """Whose outputs the decoder reads, counted from 1."""
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
    decoder: Count
    """Channels."""
    native_side: Pixels
    """Side at which the position embedding is exact, pixels."""


class Pooling(fields.Settings):
    """From patch scores to image scores."""

    kind: Literal["adaptive_k", "top_k", "max", "average"]
    k: Count
    """Patches: where adaptive_k starts, all that top_k takes."""
    ratio: Unit
    """Of the highest score, down to which a patch joins."""
    criterion: Literal["ratio", "difference"] = "ratio"


class Contrast(fields.Settings):
    """Which patches the contrast draws together and pushes apart."""

    high: Unit
    """Score above which a patch is of the class."""
    low: Unit
    """Score below which it is not."""
    lowest: bool = False
    """Whether the one patch of the lowest score is pushed away, instead of all below ``low``."""


class Pamr(fields.Settings):
    """Pixel-adaptive refinement of the decoder's target."""

    iterations: Count
    """Rounds."""
    dilations: Annotated[list[Pixels], Field(min_length=1), AfterValidator(distinct)]
    """Pixels."""


class Segmentation(fields.Settings):
    """The decoder's loss."""

    balanced: bool = True
    """Whether foreground and background halves weigh alike."""
    pamr: Pamr | None = None
    """Refinement of its target on the picture; None: the patches' classes as they are."""


class Training(SquareTraining):
    """Training in phases: the encoder may be frozen at first, the decoder joins, and the rate changes."""

    warm_up: NotNegativeInt
    """Epochs at the first learning rate, fewer than all."""
    freeze: bool
    """Whether the encoder is frozen in the warm-up."""
    learns: Literal["all"] | Count = "all"
    """What of the encoder learns: all, or so many of its last blocks and the final norm."""
    new_adam: bool = False
    """Whether Adam forgets its moments after the warm-up."""
    decoder_start: NotNegativeInt
    """Epochs before the decoder's loss is added, fewer than all."""
    warm_up_lr: Positive
    """Learning rate of the warm-up."""
    lr: Positive
    """Learning rate after it."""
    patch_decay: NotNegative
    """Of the patch classifier's weights, added to their gradient."""
    alpha: NotNegative
    """Weight of the patch contrast."""
    beta: NotNegative
    """Weight of the decoder's loss."""
    pooling: Pooling
    contrast: Contrast
    segmentation: Segmentation

    @model_validator(mode="after")
    def _phases(self) -> Self:
        for key in ("warm_up", "decoder_start"):
            if (epochs := getattr(self, key)) >= self.epochs:
                raise wrong(f"fewer than all {self.epochs} epochs", str(epochs), key)
        return self


class Settings(Variant):
    """Adaptive patch contrast."""

    kind: Literal["apc"]
    network: Network
    training: Training


def check(key: str, name: str, variant: Config, inferences: Mapping[str, Config]) -> list[str]:
    """Findings of sides that are no whole patches, and of a decoder that is read and was never trained."""
    return _check_decoder(key, name, variant, inferences) + check_sides(key, name, variant, inferences)


def _check_decoder(key: str, name: str, variant: Config, inferences: Mapping[str, Config]) -> list[str]:
    readers = [asked for asked, way in inferences.items() if way["source"] == "decoder"]
    beta = variant["training"]["beta"]
    if beta > 0 or not readers:
        return []
    wanted = f"beta above 0, for {' and '.join(readers)} read the decoder"
    return [f"{key}: expected {wanted}, found {beta} in {name!r}"]


def told(training: Config) -> dict[str, Any]:
    """Pooling, epochs, weights of the losses, and what follows the paper's letter."""
    numbers = {key: training[key] for key in ("epochs", "alpha", "beta")}
    return {"pooling": training["pooling"]["kind"], **numbers, "by_the_letter": _by_the_letter(training)}


def _by_the_letter(training: Config) -> str | None:
    """Where a variant follows the paper's words, as this project's default does not (APC, section 3)."""
    found = {
        "contrast with the one lowest patch": training["contrast"]["lowest"],
        "plain cross-entropy of the decoder": not training["segmentation"]["balanced"],
    }
    return "; ".join(words for words, holds in found.items() if holds) or None


views = None


def build(network: Network, num_classes: int) -> APC:
    """The network, see :class:`wsss.models.apc.APC`."""
    from wsss.models.apc import APC
    from wsss.models.colours import arguments_of

    return APC(num_classes=num_classes, **arguments_of(network))


def recipe(network: APC, training: Training, iterations: Callable[[int], int]) -> Phases:
    """The training, see :class:`wsss.single_stage.apc_training.Phases`."""
    from wsss.single_stage.apc_training import Phases

    return Phases(network, training, iterations(training.warm_up), iterations(training.decoder_start))


def scores(network: APC, images: Tensor, source: str) -> Tensor:
    """The decoder's logits, or the probabilities of the patches, (B, C+1, h, w)."""
    output = network(images, decode=source == "decoder")
    return on_grid(output.scores.float(), output.grid) if source == "patches" else output.pixel_logits.float()


def probabilities(scores: Tensor, source: str) -> Tensor:
    """Probabilities by scores that have been enlarged, (B, C+1, H, W).

    The decoder is trained on logits that are enlarged before they become probabilities. The patch
    classifier's probabilities are enlarged as they are: training compares nothing but them, as class maps do.
    """
    return scores.softmax(1) if source == "decoder" else scores


def fixed(network: APC, side: int) -> nn.Module:
    """The network with LSTMs along the lines of a square grid, as exporters can follow them."""
    from wsss.models.square_lstm import SquareLSTM

    network.hv_bilstm = SquareLSTM(network.hv_bilstm, side // network.stride)  # type: ignore[assignment]
    return network
