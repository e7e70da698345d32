"""Cut class maps into the label maps that the segmentation network learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import validate_call

from wsss.artefacts.class_maps import ImageMaps
from wsss.artefacts.formats import PathLike, read_image
from wsss.artefacts.shard_writer import again_if_overtaken
from wsss.config.refiners import Pseudo
from wsss.labelling.cut_maps import cut_shard
from wsss.labelling.thresholds import image_threshold
from wsss.methods.crf import dense_crf
from wsss.methods.labels import pseudo_labels

FLOOR = 1e-5  # least score that a plane has before the CRF


@again_if_overtaken
@validate_call
def run(
    *,
    manifest: PathLike,
    maps: PathLike,
    labels: PathLike,
    index: PathLike,
    settings: Pseudo,
    shard: str,
    threshold: PathLike | None = None,
) -> None:
    """Write one shard's label maps: 0 is background, then the classes; an image without any is background.

    Args:
        manifest: The data set.
        maps: Class maps, walked or straight from any method.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        settings: The background's score, or a rule that finds it in the maps, and the CRF.
        shard: Which part of the split ``train``, such as ``002of048``.
        threshold: File of the data set's threshold, where the setting is a rule of one.
    """
    cut_shard("make_pseudo_labels", _cut, manifest, maps, labels, index, settings, shard, threshold)


def _cut(settings: Pseudo, item: ImageMaps) -> NDArray[np.uint8]:
    scores, classes = item.upsampled(), item.record.classes
    threshold = image_threshold(settings.threshold, item.maps) if classes else 0.0
    if settings.crf is None or not classes:
        return pseudo_labels(scores, classes, threshold)
    planes = probabilities(scores, threshold)  # (K+1, H, W)
    refined = dense_crf(read_image(item.record), planes, settings.crf)
    return np.array([0, *(name + 1 for name in classes)], np.uint8)[refined.argmax(0)]


def probabilities(scores: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    """Scores of background and of the present classes as shares of their sum, for the CRF.

    Args:
        scores: Class scores, (K, H, W).
        threshold: Score of the background, everywhere.

    Returns:
        Shares with background first, (K+1, H, W); none is 0, for a score of nothing is no certainty.
    """
    planes = np.pad(scores, ((1, 0), (0, 0), (0, 0)), constant_values=threshold)
    planes = np.maximum(planes, FLOOR)
    shares: NDArray[np.float32] = planes / planes.sum(0)
    return shares
