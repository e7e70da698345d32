"""Trained networks with their way of inference, all asked in one way: pictures in, scores of labels out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.artefacts.formats import Labels, Manifest, PathLike
from wsss.artefacts.networks import load_network
from wsss.config.inferences import SEGMENTER
from wsss.data.transforms import normalise, to_tensor
from wsss.models.colours import with_colours
from wsss.models.deeplabv2_network import DeepLabV2, build_deeplabv2
from wsss.prediction.segmentation import best_logits, resized
from wsss.prediction.squares import check_side, squares
from wsss.runtime.device import device
from wsss.single_stage.contract import Network
from wsss.single_stage.registry import BUILD, PROBABILITIES, SCORES, SOURCES

if TYPE_CHECKING:
    from wsss.config.networks import Coloured
    from wsss.config.segmenters import Inference, SegmenterNetwork


class Scorer(Protocol):
    """A network that scores the labels of pictures.

    Attributes:
        whole: Whether it sees each picture whole, at a size of its own, however large the picture is.
    """

    whole: bool

    def scores(self, pictures: Labels) -> Tensor:
        """Scores of the labels, (B, C+1, h, w) at any size, of pictures of one size, uint8 (B, H, W, 3)."""

    def probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities by scores that have been brought to the pictures' size, (B, C+1, H, W)."""


def probabilities_of(scorer: Scorer, pictures: Labels) -> Iterator[Tensor]:
    """Probabilities of the labels of each pixel, one picture after the other, for a batch leaves the caches.

    Args:
        scorer: The network.
        pictures: Pictures of one size, uint8 (B, H, W, 3).

    Yields:
        Of each picture float32 (C+1, H, W), on the network's device.
    """
    for scores in scorer.scores(pictures):
        yield scorer.probabilities(resized(scores[None], pictures.shape[1:3]))[0]


class SegmenterScorer:
    """DeepLab over scales and mirror images, at the pictures' own size."""

    whole = False

    def __init__(self, model: DeepLabV2, network: Coloured, inference: Inference) -> None:
        self._model = model
        self._network = network
        self._inference = inference

    def scores(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Logits at the pictures' size, see :class:`Scorer`."""
        colours = self._network.colours
        images = torch.stack([to_tensor(normalise(picture, *colours)) for picture in pictures])
        stride = self._model.backbone.strides[-1]
        inference = self._inference
        return best_logits(self._model, images.to(device()), stride, inference.scales, inference.mirror)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Softmax, see :class:`Scorer`."""
        return scores.softmax(1)


class SingleStageScorer:
    """A single-stage network, which sees each picture resized to one square as in its training."""

    whole = True

    def __init__(self, kind: str, model: Network, network: Coloured, side: int, source: str) -> None:
        if source not in SOURCES[kind]:
            raise ValueError(f"source: expected one of {sorted(SOURCES[kind])}, found {source!r}")
        check_side(model, side)
        self._model = model
        self._network = network
        self._side = side
        self._source = source
        self._scores, self._probabilities = SCORES[kind], PROBABILITIES[kind]

    @torch.inference_mode()
    def scores(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Scores of the patches, see :class:`Scorer`."""
        return self._scores(self._model, squares(pictures, self._network, self._side), self._source)

    def probabilities(self, scores: Tensor) -> Tensor:
        """By the source of the scores, see :class:`Scorer`."""
        return self._probabilities(scores, self._source)


def load_segmenter(
    weights: PathLike, data: Manifest, network: SegmenterNetwork, inference: Inference
) -> SegmenterScorer:
    """Load a trained segmentation network.

    Args:
        weights: The artefact of its training.
        data: The data set that it was trained on.
        network: Its settings.
        inference: Its scales; a CRF is left to others.
    """
    network = with_colours(network)
    model = load_network(build_deeplabv2(network, data.num_classes + 1), weights, data)
    return SegmenterScorer(model, network, inference)


def load_single_stage(
    kind: str, weights: PathLike, data: Manifest, network: Coloured, side: int, source: str
) -> SingleStageScorer:
    """Load a trained single-stage network.

    Args:
        kind: The method, a key of :data:`wsss.single_stage.registry.METHODS`.
        weights: The artefact of its training.
        data: The data set that it was trained on.
        network: Its settings.
        side: Side in pixels of the square that it sees each picture as.
        source: What of its output is taken, one of the method's sources.
    """
    network = with_colours(network)
    model = load_network(BUILD[kind](network, data.num_classes), weights, data)
    return SingleStageScorer(kind, model, network, side, source)


def load_scorer(kind: str, weights: PathLike, data: Manifest, network: Any, inference: Any) -> Scorer:
    """Load a trained network with its way of inference.

    Args:
        kind: ``segmenter``, or a single-stage method.
        weights: The artefact of its training.
        data: The data set that it was trained on.
        network: Its settings, see :func:`wsss.config.inferences.checked_network`.
        inference: Its way of inference, see :func:`wsss.config.inferences.checked_inference`.
    """
    if kind == SEGMENTER:
        return load_segmenter(weights, data, network, inference)
    return load_single_stage(kind, weights, data, network, inference.side, inference.source)
