"""ToCo: tokens and small parts of an image contrasted by class maps of an earlier block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from wsss.config import fields
from wsss.config.fields import Arguments, Count, NotNegative, Pixels, Positive, Scales, Text, Unit, wrong
from wsss.config.networks import Coloured
from wsss.single_stage.apc import Pamr
from wsss.single_stage.contract import SquareTraining, Variant
from wsss.single_stage.patches import check_sides

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from wsss.models.toco import ToCo
    from wsss.single_stage.contract import Config, Parts, Picture
    from wsss.single_stage.toco_training import TokenContrast

TITLE = "ToCo, a vision transformer trained end to end on image labels, whose tokens are contrasted"
SOURCES = ("decoder", "maps")
MAPS = "maps"


class Decoder(fields.Settings):
    """DeepLab's head of a large field of view."""

    channels: Count
    """Channels between its convolutions."""
    dilation: Count
    """Of its first convolution, cells."""


class Projection(fields.Settings):
    """The head that makes codes of images."""

    hidden: Count
    """Units of its two hidden layers."""
    bottleneck: Count
    """Units of its bottleneck."""
    codes: Count
    """Values of a code."""


class Network(Coloured):
    """A vision transformer, two classifiers of its tokens, a decoder, and a head for whole images."""

    model: Text
    """timm's name of a vision transformer with a class token."""
    arguments: Arguments = {}
    """Keywords for timm's constructor."""
    auxiliary: Count
    """Block, counted from 1, whose tokens the auxiliary classifier reads."""
    scales: Scales
    """Of the images that class maps are merged from, mirrored each."""
    decoder: Decoder
    projection: Projection


class CropContrast(fields.Settings):
    """The contrast of large parts of an image with small ones."""

    weight: NotNegative
    """Of its loss."""
    count: Count
    """Small parts of an image."""
    side: Pixels
    """Of a small part, pixels of the resized image."""
    background: NotNegative
    """Mean code of background 0, unknown 1 and object 2, up to which a small part is background."""
    whole: Pixels
    """Side at which a large part is seen, pixels."""
    least: Unit
    """Share of the image's area that a large part shows at least."""
    temperature: Positive
    """That likenesses are divided by."""
    momentum: Unit
    """Share that the teacher keeps of itself at each step."""


class Segmentation(fields.Settings):
    """The decoder's loss."""

    weight: NotNegative
    """Of its loss."""
    pamr: Pamr
    """Refinement of its target on the picture."""


class Energy(fields.Settings):
    """The energy of what the decoder says, under a dense CRF."""

    weight: NotNegative
    """Of its loss."""
    cells: Count
    """Along each side of the grid on which it is taken."""
    place: Positive
    """Deviation in space, a part of the image's side."""
    colour: Positive
    """Deviation in colour, of the normalised picture."""


class Training(SquareTraining):
    """Rates that rise and fall; the decoder joins on the way."""

    lr: Positive
    """Highest learning rate of the encoder."""
    head_factor: Positive
    """That of everything else, in units of the encoder's."""
    weight_decay: NotNegative
    """Of AdamW."""
    power: NotNegative
    """Of the polynomial by which the rates fall."""
    warm_up: Unit
    """Share of the iterations in which the rates rise."""
    decoder_start: Unit
    """Share of the iterations before the decoder's losses are added, less than all."""
    high: Unit
    """Score of a class map above which an object is sure."""
    low: Unit
    """Score up to which background is."""
    token_contrast: NotNegative
    """Weight of the tokens' contrast."""
    crop_contrast: CropContrast
    segmentation: Segmentation
    energy: Energy

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.decoder_start >= 1:
            raise wrong("less than all iterations, 1", str(self.decoder_start), "decoder_start")
        if self.low > self.high:
            raise wrong(f"at most high, {self.high}", str(self.low), "low")
        part = self.crop_contrast
        if part.side > self.side or (self.side - part.side + 1) ** 2 < part.count:
            raise wrong(
                f"{part.count} places of a part in the side {self.side}",
                str(part.side),
                "crop_contrast",
                "side",
            )
        return self


class Settings(Variant):
    """Token contrast."""

    kind: Literal["toco"]
    network: Network
    training: Training


def check(key: str, name: str, variant: Config, inferences: Mapping[str, Config]) -> list[str]:
    """Findings of sides that are no whole patches, and of a decoder that is read and was never trained."""
    training = variant["training"]
    parts = {side: training["crop_contrast"][side] for side in ("side", "whole")}
    others = {f"single_stage.{name}.training.crop_contrast.{part}": side for part, side in parts.items()}
    findings = check_sides(key, name, variant, inferences, others)
    readers = [asked for asked, way in inferences.items() if way["source"] == "decoder"]
    if readers and training["segmentation"]["weight"] == 0:
        wanted = f"segmentation.weight above 0, for {' and '.join(readers)} read the decoder"
        findings.append(f"{key}: expected {wanted}, found 0 in {name!r}")
    return findings


def told(training: Config) -> dict[str, Any]:
    """Pooling, epochs, and the weights of both contrasts."""
    return {
        "pooling": "max",
        "epochs": training["epochs"],
        "token_contrast": training["token_contrast"],
        "crop_contrast": training["crop_contrast"]["weight"],
    }


def views(training: Training, square: Picture, rng: np.random.Generator) -> Parts:
    """An image, two large parts, and where small ones may lie, see :mod:`wsss.single_stage.toco_views`."""
    from wsss.single_stage.toco_views import views_of

    part = training.crop_contrast
    return views_of(square, part.whole, part.least, part.side, rng)


def build(network: Network, num_classes: int) -> ToCo:
    """The network, see :class:`wsss.models.toco.ToCo`."""
    from wsss.models.colours import arguments_of
    from wsss.models.toco import ToCo

    return ToCo(num_classes=num_classes, **arguments_of(network))


def recipe(network: ToCo, training: Training, iterations: Callable[[int], int]) -> TokenContrast:
    """The training, see :class:`wsss.single_stage.toco_training.TokenContrast`."""
    from wsss.single_stage.toco_training import TokenContrast

    return TokenContrast(network, training, iterations(training.epochs))


def scores(network: ToCo, images: Tensor, source: str) -> Tensor:
    """The decoder's logits, or class maps times the probability of their class, (B, C+1, h, w).

    What no map claims is background: 1 less the highest of them.
    """
    import torch

    if source == "decoder":
        logits = network(images).pixel_logits
        assert logits is not None
        return logits.float()
    maps, _ = network.merged_maps(images)  # (B, C, h, w)
    shown = network(images, decode=False).logits.float().sigmoid()  # (B, C)
    likely = maps * shown[:, :, None, None]
    return torch.cat((1 - likely.amax(1, keepdim=True), likely), dim=1)


def probabilities(scores: Tensor, source: str) -> Tensor:
    """Probabilities by scores that have been enlarged, (B, C+1, H, W).

    The decoder is trained on logits that are enlarged before they become probabilities. Maps are enlarged as
    they are, and then shares of their sum.
    """
    return scores.softmax(1) if source == "decoder" else scores / scores.sum(1, keepdim=True)


def fixed(network: ToCo, side: int) -> nn.Module:
    """The network with the sides of its scales as numbers, as exporters can follow it."""
    network.side = side
    return network
