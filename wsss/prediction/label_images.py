"""From any network's probabilities to label maps, refined on the real picture, in parallel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from wsss.artefacts.formats import Labels, Manifest, PathLike, Record, read_image, read_manifest
from wsss.artefacts.shard_writer import Recipe, make_labels
from wsss.methods.crf import dense_crf
from wsss.runtime.process_pool import parallel_map

# Of the data set, its images to predict, the network's weights and configuration, the inference's settings.
Predict: TypeAlias = Callable[
    [Manifest, Sequence[Record], PathLike, Mapping[str, Any], Mapping[str, Any]], Iterator[tuple[str, Labels]]
]

log = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """A network's answer on its way to a worker process: arrays travel, not tensors.

    Attributes:
        record: The image.
        probabilities: A plane a label, float32 (K, H, W).
        labels: The planes' labels; None: the plane's number is its label.
    """

    record: Record
    probabilities: NDArray[np.float32]
    labels: Sequence[int] | None = None


def predict_shard(
    stage: str,
    predict: Predict,
    manifest: PathLike,
    weights: PathLike,
    labels: PathLike,
    index: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
    split: str,
    shard: str,
) -> None:
    """Write the predicted label maps of one shard.

    Args:
        stage: The stage's name.
        predict: Predicts the images it is given, in their order.
        manifest: The data set.
        weights: The trained network.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        network: The network's configuration.
        settings: The inference's.
        split: ``train``, ``val`` or ``test``.
        shard: Which part of the split, such as ``002of048``.
    """
    data = read_manifest(manifest)
    records = data.shard(split, shard)
    recipe = Recipe(
        stage,
        f"predicting {split}",
        settings={"network": network, "settings": settings, "split": split, "shard": shard},
        params={"settings": settings, "split": split},
        inputs={"manifest": manifest, "weights": weights},
    )
    make_labels(labels, index, records, lambda part: predict(data, part, weights, network, settings), recipe)
    log.info("%s: predictions for %d images of %s", shard, len(records), split)


def refined_labels(
    predictions: Iterable[Prediction], crf: Mapping[str, Any] | None
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Take each pixel's most probable label, after a dense CRF if asked.

    Args:
        predictions: One image's after the other; taken while the ones before are refined.
        crf: Settings of :func:`wsss.methods.crf.dense_crf`, or None.

    Yields:
        The image's id and its label map, uint8 (H, W), in the order of the predictions.
    """
    workers = torch.get_num_threads() if crf is not None else 0
    return parallel_map(partial(_label, crf), predictions, workers)


def _label(crf: Mapping[str, Any] | None, item: Prediction) -> tuple[str, NDArray[np.uint8]]:
    probabilities = item.probabilities
    if crf is not None:
        probabilities = dense_crf(read_image(item.record), probabilities, crf)
    planes = probabilities.argmax(0)
    labels = planes if item.labels is None else np.asarray(item.labels)[planes]
    return item.record.id, labels.astype(np.uint8)
