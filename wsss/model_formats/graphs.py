"""What is exported: one pass of a network from pixels to probabilities, with all preprocessing inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import Manifest, Values
from wsss.artefacts.networks import load_network
from wsss.artefacts.predictors import WEIGHTS
from wsss.config.inferences import SEGMENTER, checked_inference, checked_network
from wsss.model_formats.resizing import PillowBicubic
from wsss.models.backbones import TimmBackbone
from wsss.models.deeplabv2_network import DeepLabV2, build_deeplabv2, pooled
from wsss.models.outputs import pad_to_multiple
from wsss.single_stage.registry import BUILD, FIXED, PROBABILITIES, SCORES

if TYPE_CHECKING:
    from wsss.config.networks import Coloured


class Normalise(nn.Module):
    """As :func:`wsss.data.transforms.normalise`, of whole numbers (B, 3, H, W).

    Args:
        mean: Of red, green and blue, on the scale 0..1.
        std: Their deviations.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        centre, deviation = (torch.tensor(values, dtype=torch.float64) for values in (mean, std))
        self.register_buffer("scale", (1 / (255 * deviation)).float().reshape(1, 3, 1, 1))
        self.register_buffer("shift", (centre / deviation).float().reshape(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalised images, float32 (B, 3, H, W)."""
        return pictures.float() * self.scale - self.shift


class SegmenterGraph(nn.Module):
    """DeepLab at one scale, without the mirror image."""

    def __init__(self, model: DeepLabV2, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.model = model
        self.stride, self.channels = model.backbone.strides[-1], model.backbone.channels[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of the labels, float32 (B, C+1, H, W), of pictures, uint8 (B, H, W, 3)."""
        pictures = images.permute(0, 3, 1, 2)
        cells = self._head(_last_feature(self.model.backbone, self.normalise(pictures)))
        size = (cells.shape[2] * self.stride, cells.shape[3] * self.stride)
        return _cropped(_resized(cells, size), pictures).softmax(1)

    def _head(self, feature: Tensor) -> Tensor:
        """As the head's own pass, with a number of channels that an exporter sees to be constant."""
        head = self.model.decode_head
        if head.norm == "layer":
            norm = F.layer_norm(feature.permute(0, 2, 3, 1), (self.channels,), eps=1e-6).permute(0, 3, 1, 2)
            return pooled(norm, head.convolutions, None)
        return pooled(feature, head.convolutions, head.norm)


class SingleStageGraph(nn.Module):
    """A single stage, which resizes each picture to its square and the scores to the picture."""

    def __init__(self, kind: str, model: nn.Module, network: Coloured, side: int, source: str) -> None:
        super().__init__()
        self.squares = PillowBicubic(side)
        self.normalise = Normalise(*network.colours)
        self.model = FIXED[kind](model, side) if kind in FIXED else model
        self.source = source
        self.scores, self.probabilities = SCORES[kind], PROBABILITIES[kind]

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities of the labels, float32 (B, C+1, H, W), of pictures, uint8 (B, H, W, 3)."""
        squares = self.squares(images.permute(0, 3, 1, 2).double())
        scores = self.scores(self.model, self.normalise(squares), self.source)
        return self.probabilities(_resized(scores, (images.shape[1], images.shape[2])), self.source)


def _last_feature(backbone: TimmBackbone, images: Tensor) -> Tensor:
    """As the backbone's own pass, with the last feature alone."""
    if backbone.residual:
        return backbone(images)[-1]
    features = backbone.model.forward_intermediates(
        pad_to_multiple(images, backbone.multiple),
        indices=backbone.out_indices[-1:],
        norm=backbone.uniform,
        intermediates_only=True,
    )
    stride = backbone.strides[-1]
    return _cropped(features[-1], images[:, :, ::stride, ::stride])


def _cropped(maps: Tensor, like: Tensor) -> Tensor:
    """The upper left part of maps, (B, D, H', W'), of the size of others, (_, _, H, W): (B, D, H, W)."""
    rows, columns = _numbers(like[0, 0, :, 0]), _numbers(like[0, 0, 0])
    return maps.index_select(2, rows).index_select(3, columns)


def _numbers(line: Tensor) -> Tensor:
    """0 to L - 1, on the device of a line (L,)."""
    return torch.ones_like(line, dtype=torch.int64).cumsum(0) - 1


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """As :func:`wsss.prediction.segmentation.resized`, also where sizes are symbols of a graph."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _segmenter(weights: Path, data: Manifest, network: Any) -> nn.Module:
    model = load_network(build_deeplabv2(network, data.num_classes + 1), weights, data)
    return SegmenterGraph(model, *network.colours)


def _single_stage(kind: str, weights: Path, data: Manifest, network: Coloured, inference: Any) -> nn.Module:
    model = load_network(BUILD[kind](network, data.num_classes), weights, data)
    return SingleStageGraph(kind, model, network, inference.side, inference.source)


def build_graph(folder: PathLike, description: Values) -> nn.Module:
    """Build the graph of a predictor, filled, in evaluation mode, on the CPU.

    Args:
        folder: The predictor's folder.
        description: What :func:`wsss.artefacts.predictors.read_predictor` says of it.

    Returns:
        A module from pictures, uint8 (B, H, W, 3), RGB, to probabilities, float32 (B, C+1, H, W).
    """
    classes = tuple(entry["class"] for entry in description["labels"][1:])
    data = Manifest(description["dataset"], classes, ())
    kind, weights = description["kind"], Path(folder) / WEIGHTS
    network = checked_network(kind, description["network"])
    if kind == SEGMENTER:
        graph = _segmenter(weights, data, network)
    else:
        inference = checked_inference(kind, description["inference"])
        graph = _single_stage(kind, weights, data, network, inference)
    return graph.eval().cpu().requires_grad_(False)
