"""Trained networks with their way of inference, all asked in one way: pictures in, scores of labels out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss.artefacts.formats import Labels, Manifest, PathLike
from wsss.artefacts.networks import load_network
from wsss.data.transforms import normalise, to_tensor
from wsss.models.apc import APC, APCOutput, build_apc
from wsss.models.colours import with_colours
from wsss.models.deeplabv2_network import DeepLabV2, build_deeplabv2
from wsss.prediction.apc_outputs import check_side, on_grid, squares
from wsss.prediction.segmentation import best_logits, resized
from wsss.runtime.device import device

Settings = Mapping[str, Any]


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


def probabilities_of(scorer: Scorer, pictures: Labels) -> Tensor:
    """Probabilities of the labels of each pixel.

    Args:
        scorer: The network.
        pictures: Pictures of one size, uint8 (B, H, W, 3).

    Returns:
        Float32 (B, C+1, H, W), on the network's device.
    """
    return scorer.probabilities(resized(scorer.scores(pictures), pictures.shape[1:3]))


class SegmenterScorer:
    """DeepLab over scales and mirror images, at the pictures' own size."""

    whole = False

    def __init__(self, model: DeepLabV2, network: Settings, inference: Settings) -> None:
        self._model = model
        self._network = network
        self._inference = inference

    def scores(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Logits at the pictures' size, see :class:`Scorer`."""
        mean, std = self._network["mean"], self._network["std"]
        images = torch.stack([to_tensor(normalise(picture, mean, std)) for picture in pictures])
        stride = self._model.backbone.strides[-1]
        inference = self._inference
        return best_logits(self._model, images.to(device()), stride, inference["scales"], inference["mirror"])

    def probabilities(self, scores: Tensor) -> Tensor:
        """Softmax, see :class:`Scorer`."""
        return scores.softmax(1)


class ApcScorer:
    """The single stage, which sees each picture resized to one square as in its training."""

    whole = True

    def __init__(self, model: APC, network: Settings, inference: Settings) -> None:
        if inference["source"] not in SOURCES:
            raise ValueError(f"source: expected one of {sorted(SOURCES)}, found {inference['source']!r}")
        check_side(model, inference["side"])
        self._model = model
        self._network = network
        self._side: int = inference["side"]
        self._decode = inference["source"] == "decoder"
        self._scores, self._probabilities = SOURCES[inference["source"]]

    @torch.inference_mode()
    def scores(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Scores of the patches, see :class:`Scorer`."""
        output = self._model(squares(pictures, self._network, self._side), decode=self._decode)
        return self._scores(output)

    def probabilities(self, scores: Tensor) -> Tensor:
        """By the source of the scores, see :class:`Scorer`."""
        return self._probabilities(scores)


def _decoded(output: APCOutput) -> Tensor:
    assert output.pixel_logits is not None
    return output.pixel_logits.float()


def _patches(output: APCOutput) -> Tensor:
    return on_grid(output.scores.float(), output.grid)


SOURCES: Mapping[str, tuple[Callable[[APCOutput], Tensor], Callable[[Tensor], Tensor]]] = {
    "decoder": (_decoded, lambda scores: scores.softmax(1)),
    "patches": (_patches, lambda scores: scores),
}
"""Whose scores APC gives, and how they become probabilities once they have the picture's size.

The decoder is trained on logits that are enlarged before they become probabilities. The patch classifier's
probabilities are enlarged as they are: training compares nothing but them, as class maps do.
"""


def load_segmenter(
    weights: PathLike, data: Manifest, network: Settings, inference: Settings
) -> SegmenterScorer:
    """Load a trained segmentation network.

    Args:
        weights: The artefact of its training.
        data: The data set that it was trained on.
        network: Its configuration.
        inference: ``scales`` and ``mirror``; other keys are left to others.
    """
    network = with_colours(network)
    model = load_network(build_deeplabv2(network, data.num_classes + 1), weights, data)
    return SegmenterScorer(model, network, inference)


def load_apc(weights: PathLike, data: Manifest, network: Settings, inference: Settings) -> ApcScorer:
    """Load a trained single stage, as :func:`load_segmenter`; its inference has ``side`` and ``source``."""
    network = with_colours(network)
    return ApcScorer(load_network(build_apc(network, data.num_classes), weights, data), network, inference)


SCORERS: Mapping[str, Callable[[PathLike, Manifest, Settings, Settings], Scorer]] = {
    "segmenter": load_segmenter,
    "apc": load_apc,
}
"""How a network is loaded, by its section of the configuration in the singular."""
