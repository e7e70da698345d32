"""Segment images by the trained network over several scales, and refine the result on the real picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from wsss.artefacts.formats import Manifest, PathLike, Record, read_image
from wsss.artefacts.networks import load_network
from wsss.data.transforms import normalise, to_tensor
from wsss.models.colours import with_colours
from wsss.models.deeplabv2 import build_segmenter
from wsss.prediction.label_images import Prediction, predict_shard, refined_labels
from wsss.runtime.device import device


class Segmenter(Protocol):
    """What is asked of a segmentation network."""

    def logits(self, images: Tensor) -> Tensor:
        """Scores of the labels, (B, C+1, h, w), for images of any size, (B, 3, H, W)."""


def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    labels: PathLike,
    index: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
    split: str,
    shard: str,
) -> None:
    """Write one shard's predicted label maps, at the images' own sizes; image labels are not used.

    Args:
        manifest: The data set.
        weights: The trained segmentation network.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        network: The network's configuration, with ``mean`` and ``std``.
        settings: ``scales``, ``mirror``, and ``crf``, null or the dense CRF's settings.
        split: ``val`` or ``test``.
        shard: Which part of the split, such as ``002of048``.
    """
    network = with_colours(network)
    predict_shard(
        "predict_masks", label_maps, manifest, weights, labels, index, network, settings, split, shard
    )


def label_maps(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Predict images of any split: (id, label map of the image's size), in the order of the records.

    Arguments as in :func:`run`; also used to draw examples.
    """
    return refined_labels(_predictions(data, records, weights, network, settings), settings["crf"])


def _predictions(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Iterator[Prediction]:
    """One image's probabilities after the other; the network is loaded only when the first is asked for.

    By then the worker processes of :func:`refined_labels` are forked, free of a GPU's context.
    """
    model = load_network(build_segmenter(network, data.num_classes + 1), weights, data)
    stride = model.backbone.strides[-1]
    for record in records:
        image = to_tensor(normalise(read_image(record), network["mean"], network["std"])).to(device())
        probabilities = predict(model, image, stride, settings["scales"], settings["mirror"])
        yield Prediction(record, probabilities.cpu().numpy())


@torch.inference_mode()
def predict(model: Segmenter, image: Tensor, stride: int, scales: Sequence[float], mirror: bool) -> Tensor:
    """Probabilities from the largest logits over all scales and, if asked, their mirror images.

    Args:
        model: The segmentation network.
        image: Normalised image, (3, H, W).
        stride: Pixels that a cell of the logits covers.
        scales: Factors by which the image is resized, bilinearly as in training's multi-scale loss.
        mirror: Look at the mirror image of each scale, too.

    Returns:
        Probabilities of the labels, (C+1, H, W).
    """
    views = [(scale, flip) for scale in scales for flip in ((False, True) if mirror else (False,))]
    if not views:
        raise ValueError("scales: expected at least one")
    best = _logits(model, image, stride, *views[0])
    for view in views[1:]:
        best = torch.maximum(best, _logits(model, image, stride, *view))
    return best.softmax(0)


def _logits(model: Segmenter, image: Tensor, stride: int, scale: float, flip: bool) -> Tensor:
    """Logits of one view at the image's size, (C+1, H, W), without those of the network's own padding."""
    size = [max(1, round(side * scale)) for side in image.shape[1:]]
    seen = _resize(image[None], size)
    cells = model.logits(seen.flip(-1) if flip else seen).float()  # (1, C+1, h, w)
    enlarged = _resize(cells, [side * stride for side in cells.shape[2:]])[..., : size[0], : size[1]]
    whole = _resize(enlarged.flip(-1) if flip else enlarged, image.shape[1:])
    return whole[0]


def _resize(tensor: Tensor, size: Sequence[int]) -> Tensor:
    if list(tensor.shape[2:]) == list(size):
        return tensor
    return F.interpolate(tensor, size=list(size), mode="bilinear", align_corners=False)
