"""Settings of classifiers: networks that learn from image labels and give class maps and attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, Union

from pydantic import Discriminator, Field, Tag, model_validator

from wsss.config.fields import (
    Arguments,
    Channels,
    Count,
    Direction,
    Fraction,
    Name,
    Neighbours,
    NotNegative,
    NotNegativeInt,
    PixelRange,
    Pixels,
    Positive,
    Precision,
    Scales,
    Settings,
    Stride,
    Text,
    Unit,
    keys_of,
    wrong,
)
from wsss.config.networks import Coloured, Initial
from wsss.methods.derived_maps.registry import SETTINGS as MAKERS

if TYPE_CHECKING:  # what the registry lists is known when it is imported, not before
    DerivedMaps = Settings
else:
    DerivedMaps = Annotated[Union[(*MAKERS,)], Field(discriminator="kind")]


class ConformerNetwork(Coloured):
    """A Conformer, a CNN and a transformer that talk to each other (AD-CAM, section 4.1)."""

    kind: Literal["conformer"]
    variant: Literal["tiny", "small", "base", "nano"]
    """Its size; AD-CAM's is small."""
    output_stride: Stride
    """Pixels a cell of the class maps; 16 drops block 12, 32 is the published network (plain CAM only)."""
    stop_gradient: bool
    """Whether gradients never cross between the branches (AD-CAM's red cross)."""
    drop_path: Unit
    """Probability that a block is left out in training."""
    mean: Channels = [0.485, 0.456, 0.406]
    """Of R, G, B in 0..1; ImageNet's, as the published weights."""
    std: Channels = [0.229, 0.224, 0.225]
    """Of R, G, B in 0..1; ImageNet's, as the published weights."""
    token_head: Literal["class", "patches"] = "class"
    """What the transformer's head reads: the class token (AD-CAM), or the patch tokens (TS-CAM)."""


class Cnn(Settings):
    """Any timm CNN under a linear head on its pooled features."""

    model: Text
    """timm's name."""
    arguments: Arguments = {}
    """Keywords for timm's constructor."""
    output_stride: Stride
    """Pixels a cell of the class maps; below 32 the network must offer it."""
    dilate: bool = True
    """Whether the stages that lose their stride are dilated instead."""
    frozen: list[Text] = []
    """timm's modules that do not learn."""
    fixed_statistics: bool = True
    """Whether batch normalisation keeps its running statistics in training."""
    bias: bool = False
    """Whether the head has one."""


class CnnNetwork(Cnn, Coloured):
    """A CNN by itself; it has no attention."""

    kind: Literal["cnn"]


class TimmNetwork(Coloured):
    """Any VisionTransformer or Eva of timm; class maps and attention come from its tokens."""

    kind: Literal["timm"]
    model: Text
    """timm's name."""
    arguments: Arguments = {}
    """Keywords for timm's constructor."""


class PairCnn(Cnn):
    """The CNN of a pair."""

    mean: Channels | None = None
    """The pair's, which it may repeat."""
    std: Channels | None = None
    """The pair's, which it may repeat."""


class PairTransformer(Coloured):
    """The transformer of a pair, which gives attention."""

    model: Text
    """timm's name of a VisionTransformer or Eva."""
    arguments: Arguments = {}
    """Keywords for timm's constructor."""
    learns: bool
    """Whether it is trained on the image labels beside the CNN, or stays as it is."""


class PairNetwork(Coloured):
    """Class maps of a CNN beside attention of a transformer; nothing is shared."""

    kind: Literal["pair"]
    cnn: PairCnn
    vit: PairTransformer

    @model_validator(mode="after")
    def _one_normalisation(self) -> Self:
        """Images come normalised for the CNN, whose own keys may repeat by what."""
        for key in ("mean", "std"):
            own, shared = getattr(self.cnn, key), getattr(self, key)
            if shared is None:
                setattr(self, key, own)
            elif own not in (None, shared):
                raise wrong(f"the pair's {shared}, or nothing", str(own), "cnn", key)
        return self


Network = Annotated[ConformerNetwork | CnnNetwork | TimmNetwork | PairNetwork, Field(discriminator="kind")]


class PairInitial(Settings):
    """Initial weights of a pair's two networks."""

    cnn: Initial
    vit: Initial


class TrainedInitial(Settings):
    """All weights of another classifier that the same run has trained on image labels."""

    classifier: Name
    """Its variant, whose network has the same parameters; it starts from weights of its own."""


def _start(value: Any) -> str:
    keys = keys_of(value)
    return "trained" if "classifier" in keys else "pair" if {"cnn", "vit"} & keys else "one"


ClassifierInitial = Annotated[
    Annotated[Initial, Tag("one")]
    | Annotated[PairInitial, Tag("pair")]
    | Annotated[TrainedInitial, Tag("trained")],
    Discriminator(_start),
]


class ClassifierTraining(Settings):
    """Fine-tuning on image labels."""

    epochs: Count
    """Passes over the images."""
    batch: Count
    """Images a step."""
    accumulate: Count = 1
    """Steps whose gradients are averaged for one update."""
    crop: Pixels
    """Side of the training images, pixels."""
    rescale: PixelRange
    """Range of the images' long side before the crop, pixels."""
    vit_lr: Positive | None = None
    """Learning rate of the transformer's parameters; needed where one learns."""
    vit_power: NotNegative | None = None
    """Of its polynomial schedule; 0 is constant."""
    cnn_lr: Positive
    """Learning rate of the convolutions' parameters."""
    cnn_power: NotNegative
    """Of its polynomial schedule."""
    head_factor: Positive = 1.0
    """Times the rate, for the heads, which start at random."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: Unit | None = None
    """Of sgd, which needs it."""
    weight_decay: NotNegative
    precision: Precision
    """``mixed`` is float16 on a GPU and full on a CPU."""

    @model_validator(mode="after")
    def _descent(self) -> Self:
        if self.optimizer == "sgd" and self.momentum is None:
            raise wrong("a number for optimizer sgd", "none", "momentum")
        return self


class TagsTraining(ClassifierTraining):
    """Fine-tuning on image labels alone."""

    kind: Literal["tags"] = "tags"


class RecamTraining(ClassifierTraining):
    """ReCAM's second step, beside a softmax head on the features of the classes present."""

    kind: Literal["recam"]
    second_lr: Positive
    """Learning rate of the softmax head; it falls with ``cnn_power``."""
    weight: NotNegative
    """Of the softmax loss beside that on image labels."""
    combine: Literal["product", "first", "second", "sum"]
    """What becomes the head that class maps are taken from: of both heads' weights, or one of them."""


def _training(value: Any) -> str:
    kind = value.get("kind", "tags") if isinstance(value, dict) else getattr(value, "kind", "tags")
    return kind if isinstance(kind, str) else "tags"


Training = Annotated[
    Annotated[TagsTraining, Tag("tags")] | Annotated[RecamTraining, Tag("recam")], Discriminator(_training)
]


class CachedNeighbours(Settings):
    """Both a number and a fraction, of which the larger counts in each view."""

    at_least: Count
    """Tokens."""
    fraction: Fraction
    """Of a view's tokens."""


class Attention(Settings):
    """Tokens are related by attention (AD-CAM)."""

    kind: Literal["attention"]


class Features(Settings):
    """Tokens are related by the likeness of their features (ProxyCLIP)."""

    kind: Literal["features"]
    beta: NotNegative
    """Times the mean similarity, below which pairs are masked; ProxyCLIP has 1.2."""
    gamma: Positive
    """Steepness of the softmax; ProxyCLIP has 3."""


class Views(Settings):
    """The scaled and mirrored images that class maps and attention are taken from, and what is stored."""

    scales: Scales
    """Of the image's sides."""
    mirror: bool
    """Whether each scale is also mirrored."""
    cached_neighbours: Neighbours | CachedNeighbours
    """Co-neighbours stored a token: a number, below 1 a fraction of all tokens, or both."""
    attention_steps: NotNegativeInt
    """Steps of unrefined attention diffusion stored for method attention_diffusion."""
    attention_direction: Direction = "gather"
    """Of these steps, as the method's direction."""
    transcam: bool = False
    """Whether to store what methods of kind transcam read."""
    cache_similarity: bool = False
    """Whether to store similarities, which adcam with ``soft`` reads."""
    per_block: bool = True
    """Whether each block's attention is renormalised before their mean, or once after it."""
    affinity: Annotated[Attention | Features, Field(discriminator="kind")] = Attention(kind="attention")
    """What relates tokens."""


class Classifier(Settings):
    """A network, what it starts from, its training, and what is stored of it."""

    network: Network
    initial: ClassifierInitial
    """Initial weights; of a pair each network's, under ``cnn`` and ``vit``; or ``classifier``, to go on."""
    training: Training
    weights_of: Name | None = None
    """A classifier of the same network, initial weights and training, whose weights serve here, too."""
    views: Views
    maps: DerivedMaps | None = None
    """How maps are derived, the classifier differentiated; None: they are those of a forward pass."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        kind = self.network.kind
        if not isinstance(self.initial, TrainedInitial) and isinstance(self.initial, PairInitial) != (
            kind == "pair"
        ):
            forms = "weights of one network", "cnn and vit, each with its own weights"
            expected, found = reversed(forms) if kind == "pair" else forms
            raise wrong(f"{expected}, for a network of kind {kind}", found, "initial")
        if kind == "conformer" and isinstance(self.initial, Initial) and self.initial.timm:
            raise wrong("a file for a Conformer, which timm does not have", "true", "initial", "timm")
        check_rates(self.network, self.training)
        return self


def check_rates(network: Any, training: ClassifierTraining) -> None:
    """Refuse a transformer that learns and has no learning rate."""
    learns = network.vit.learns if isinstance(network, PairNetwork) else network.kind in ("conformer", "timm")
    for key in ("vit_lr", "vit_power"):
        if learns and getattr(training, key) is None:
            raise wrong("a number for a transformer that learns", "none", "training", key)
