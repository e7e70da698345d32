"""Settings that several kinds of networks share: initial weights, backbones, dense CRFs."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from wsss.config.fields import (
    Arguments,
    Channels,
    Count,
    Digest,
    Path,
    Positive,
    Settings,
    Stride,
    Text,
    wrong,
)


class Initial(Settings):
    """Where the weights that a network starts from come from: a file, timm's download, or chance."""

    file: Path | None = None
    """Weights; ``package:`` starts at the installed package's data folder. None: not from a file."""
    sha256: Digest | None = None
    """Hexadecimal digest of the file, to be given beside it; None does not check."""
    timm: bool = False
    """Whether timm downloads the weights that it has under the network's name."""
    supervision: Text
    """Labels that the weights have seen, in words; stands in every metrics file."""
    pixel_labels: bool
    """Whether labels of pixels are among them; results then say so."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file is not None and self.timm:
            raise wrong("a file or timm, of which timm: false takes back a true that lies below", "both")
        given = self.model_fields_set
        if ("file" in given) != ("sha256" in given):
            raise wrong("file and sha256 together, of which sha256: null does not check", "one alone")
        return self


class Backbone(Settings):
    """A timm network seen as a pyramid of features; see :class:`wsss.models.backbones.TimmBackbone`."""

    model: Text
    """timm's name of a network with ``features_only``."""
    arguments: Arguments = {}
    """Keywords for timm's constructor."""
    output_stride: Stride | None = None
    """Pixels a cell of the last feature; None leaves the network as it is."""
    out_indices: list[int] | None = None
    """Features that are read; None: all of a CNN, the last block of each quarter of a transformer."""
    dilate: bool = True
    """Whether the stages that lose their stride are dilated instead."""
    caffe_style: bool = False
    """The layout of Caffe's residual networks."""


class Crf(Settings):
    """A dense CRF with a Gaussian and a bilateral kernel; see :func:`wsss.methods.crf.dense_crf`."""

    iterations: Count
    """Steps of the mean field."""
    gaussian_sxy: Positive
    """Deviation in space, pixels."""
    gaussian_compat: Positive
    """Weight."""
    bilateral_sxy: Positive
    """Deviation in space, pixels."""
    bilateral_srgb: Positive
    """Deviation in colour, grey levels of 0..255."""
    bilateral_compat: Positive
    """Weight."""


class Coloured(Settings):
    """A network that images are normalised for."""

    mean: Channels | None = None
    """Of R, G, B in 0..1, subtracted from images; None: as timm's weights of its name were trained."""
    std: Channels | None = None
    """Of R, G, B in 0..1, by which images are then divided; None: likewise."""

    @property
    def colours(self) -> tuple[list[float], list[float]]:
        """Mean and deviation, once :func:`wsss.models.colours.with_colours` has filled them in."""
        if self.mean is None or self.std is None:
            raise ValueError("network: expected its mean and std, found none; fill them in by with_colours")
        return self.mean, self.std
