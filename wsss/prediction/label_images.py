"""From any network's probabilities to label maps, refined on the real picture, in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.formats import Labels, PathLike, Record, read_image
from wsss.methods.crf import dense_crf
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.threads import thread_count

if TYPE_CHECKING:
    from wsss.config.networks import Crf


class Scored(NamedTuple):
    """A network's answer on its way to a worker process: arrays travel, not tensors.

    Attributes:
        picture: The image, its file, or its record in a manifest.
        probabilities: One plane per label, float32 (K, H, W).
        labels: The planes' labels; None: the plane's number is its label.
    """

    picture: Labels | PathLike | Record
    probabilities: NDArray[np.float32]
    labels: Sequence[int] | None = None


class Labelled(NamedTuple):
    """A label map, uint8 (H, W), and the probabilities that it was taken from, if they are asked for."""

    labels: Labels
    probabilities: NDArray[np.float32] | None


def most_probable(answers: Iterable[Scored], crf: Crf | None) -> Iterator[Labels]:
    """Take each pixel's most probable label, after a dense CRF if asked.

    Args:
        answers: One image's after the other; taken while the ones before are refined.
        crf: Settings of :func:`wsss.methods.crf.dense_crf`, or None.

    Yields:
        An image's label map, uint8 (H, W), in the order of the answers.
    """
    return map(attrgetter("labels"), labelled(answers, crf))


def labelled(
    answers: Iterable[Scored], crf: Crf | None, *, probabilities: bool = False
) -> Iterator[Labelled]:
    """As :func:`most_probable`, with the probabilities beside the labels if they are asked for."""
    workers = thread_count() if crf is not None else 0
    return parallel_map(partial(_labelled, crf, probabilities), answers, workers)


def _labelled(crf: Crf | None, keep: bool, item: Scored) -> Labelled:
    probabilities = item.probabilities
    if crf is not None:
        picture = item.picture if isinstance(item.picture, np.ndarray) else read_image(item.picture)
        probabilities = dense_crf(picture, probabilities, crf)
    planes = probabilities.argmax(0)
    labels = planes if item.labels is None else np.asarray(item.labels)[planes]
    return Labelled(labels.astype(np.uint8), probabilities if keep else None)
