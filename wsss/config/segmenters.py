"""Settings of segmentation networks, and of inference with them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from wsss.config.fields import Count, NotNegative, Pixels, Positive, Precision, Range, Scales, Settings, Unit
from wsss.config.networks import Backbone, Coloured, Crf, Initial


class SegmenterNetwork(Coloured):
    """DeepLabV2: dilated convolutions whose outputs are added, on a timm backbone."""

    backbone: Backbone
    rates: Annotated[list[Count], Field(min_length=1)]
    """Dilations, cells."""
    multi_scale: list[Positive]
    """Further scales of the loss, and their maximum."""
    loss: Literal["cross_entropy", "balanced"] = "cross_entropy"
    """balanced: foreground and background halves weigh alike."""
    norm: Literal["layer", "by_backbone"] | None = "by_backbone"
    """Of the feature that enters the head: layer (each cell's channels to mean 0, deviation 1) or none;
    by_backbone: layer where the backbone is neither a residual network nor normalises its features."""


class SegmenterTraining(Settings):
    """Training on label maps."""

    iterations: Count
    """Updates."""
    batch: Count
    """Images a step."""
    accumulate: Count = 1
    """Steps an update."""
    crop: Pixels
    """Side of the training images, pixels."""
    scale: Range
    """Of the random rescaling."""
    optimizer: Literal["sgd", "adamw", "by_backbone"] = "by_backbone"
    """by_backbone: sgd for a residual network, else adamw."""
    lr: Positive
    """Learning rate of the backbone; the head's is ten times it."""
    momentum: Unit
    """Of sgd."""
    weight_decay: NotNegative
    power: NotNegative
    """Of the polynomial schedule."""
    lr_step: Count
    """Updates between two values of the schedule."""
    precision: Precision
    """``mixed`` is float16 on a GPU and full on a CPU."""


class Segmenter(Settings):
    """A segmentation network, what it starts from, and its training."""

    network: SegmenterNetwork
    initial: Initial
    training: SegmenterTraining


class Inference(Settings):
    """How a trained segmentation network labels an image."""

    scales: Scales
    """Of the image's sides; the maximum over them is taken."""
    mirror: bool
    """Whether each scale is also mirrored."""
    crf: Crf | None = None
    """Dense CRF; None: none."""
