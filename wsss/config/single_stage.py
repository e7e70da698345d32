"""Settings of the single stage, adaptive patch contrast, and of inference with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from wsss.config.fields import (
    Arguments,
    Count,
    NotNegative,
    NotNegativeInt,
    Pixels,
    Positive,
    Precision,
    Settings,
    Text,
    Unit,
    distinct,
)
from wsss.config.networks import Coloured, Crf, Initial


class ApcNetwork(Coloured):
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


class Pooling(Settings):
    """From patch scores to image scores."""

    kind: Literal["adaptive_k", "top_k", "max", "average"]
    k: Count
    """Patches: where adaptive_k starts, all that top_k takes."""
    ratio: Unit
    """Of the highest score, down to which a patch joins."""
    criterion: Literal["ratio", "difference"] = "ratio"


class Contrast(Settings):
    """Which patches the contrast draws together and pushes apart."""

    high: Unit
    """Score above which a patch is of the class."""
    low: Unit
    """Score below which it is not."""
    lowest: bool = False
    """Whether the one patch of the lowest score is pushed away, instead of all below ``low``."""


class Pamr(Settings):
    """Pixel-adaptive refinement of the decoder's target."""

    iterations: Count
    """Rounds."""
    dilations: Annotated[list[Pixels], Field(min_length=1), AfterValidator(distinct)]
    """Pixels."""


class Segmentation(Settings):
    """The decoder's loss."""

    balanced: bool = True
    """Whether foreground and background halves weigh alike."""
    pamr: Pamr | None = None
    """Refinement of its target on the picture; None: the patches' classes as they are."""


class ApcTraining(Settings):
    """Training on image labels, end to end."""

    epochs: Count
    """Passes over the images."""
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
    batch: Count
    """Images a step."""
    accumulate: Count = 1
    """Steps whose gradients are averaged for one update."""
    side: Pixels
    """Both sides of the resized image, pixels."""
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
    precision: Precision
    """``mixed`` is float16 on a GPU and full on a CPU."""


class Apc(Settings):
    """A variant of the single stage."""

    network: ApcNetwork
    initial: Initial
    training: ApcTraining
    side: Pixels
    """Both sides of the image whose patch scores become class maps, pixels."""


class ApcInference(Settings):
    """How a trained single stage labels an image."""

    side: Pixels
    """Both sides of the resized image, pixels."""
    source: Literal["decoder", "patches"]
    """Whose scores are taken."""
    tags: bool
    """Whether the image's labels restrict the classes; no score of val that counts may have them."""
    crf: Crf | None = None
    """Dense CRF; None: none."""
