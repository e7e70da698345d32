"""From any network's probabilities to label maps, refined on the real picture, in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from wsss.artefacts import Record, read_image
from wsss.methods.crf import dense_crf
from wsss.stages.common import parallel_map


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
