"""From any network's probabilities to label maps, refined on the real picture, in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from wsss.artefacts.formats import Labels, PathLike, Record, read_image
from wsss.artefacts.shard_writer import Provenance
from wsss.methods.crf import dense_crf
from wsss.runtime.process_pool import parallel_map


class Prediction(NamedTuple):
    """A network's answer on its way to a worker process: arrays travel, not tensors.

    Attributes:
        picture: The image's file, or its record in a manifest.
        probabilities: One plane per label, float32 (K, H, W).
        labels: The planes' labels; None: the plane's number is its label.
    """

    picture: PathLike | Record
    probabilities: NDArray[np.float32]
    labels: Sequence[int] | None = None


def provenance_of(
    stage: str,
    manifest: PathLike,
    weights: PathLike,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
    split: str,
    shard: str,
) -> Provenance:
    """What a stage's predictions for a shard of a split are made from; arguments as of its ``run``."""
    return Provenance(
        stage,
        settings={"network": network, "settings": settings, "split": split, "shard": shard},
        params={"settings": settings, "split": split},
        inputs={"manifest": manifest, "weights": weights},
    )


def most_probable(predictions: Iterable[Prediction], crf: Mapping[str, Any] | None) -> Iterator[Labels]:
    """Take each pixel's most probable label, after a dense CRF if asked.

    Args:
        predictions: One image's after the other; taken while the ones before are refined.
        crf: Settings of :func:`wsss.methods.crf.dense_crf`, or None.

    Yields:
        An image's label map, uint8 (H, W), in the order of the predictions.
    """
    workers = torch.get_num_threads() if crf is not None else 0
    return parallel_map(partial(_labels, crf), predictions, workers)


def _labels(crf: Mapping[str, Any] | None, item: Prediction) -> Labels:
    probabilities = item.probabilities
    if crf is not None:
        probabilities = dense_crf(read_image(item.picture), probabilities, crf)
    planes = probabilities.argmax(0)
    labels = planes if item.labels is None else np.asarray(item.labels)[planes]
    return labels.astype(np.uint8)
