"""Cut class maps into labels that IRNet can trust: confident foreground and background, 255 elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import validate_call

from wsss.artefacts.class_maps import ImageMaps
from wsss.artefacts.formats import PathLike, read_image
from wsss.artefacts.shard_writer import again_if_overtaken
from wsss.config.refiners import Labels
from wsss.labelling.cut_maps import cut_shard
from wsss.labelling.thresholds import image_threshold
from wsss.methods.labels import irn_labels, label_thresholds


@again_if_overtaken
@validate_call
def run(
    *,
    manifest: PathLike,
    maps: PathLike,
    labels: PathLike,
    index: PathLike,
    settings: Labels,
    shard: str,
    threshold: PathLike | None = None,
) -> None:
    """Write one shard's label maps; an image without any class is background throughout.

    Args:
        manifest: The data set.
        maps: Class maps of any method.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        settings: The scores, which may be relative to a threshold, see
            :func:`wsss.methods.labels.label_thresholds`, and the CRF.
        shard: Which part of the split ``train``, such as ``002of048``.
        threshold: File of the data set's threshold, where the setting is a rule of one.
    """
    cut_shard("make_irn_labels", _cut, manifest, maps, labels, index, settings, shard, threshold)


def _cut(settings: Labels, item: ImageMaps) -> NDArray[np.uint8]:
    record = item.record
    if not record.classes:
        return np.zeros((record.height, record.width), dtype=np.uint8)
    own = None if settings.threshold is None else image_threshold(settings.threshold, item.maps)
    foreground, background = label_thresholds(settings.foreground, settings.background, own)
    return irn_labels(
        read_image(record),
        item.upsampled(),
        record.classes,
        foreground=foreground,
        background=background,
        gt_prob=settings.gt_prob,
        crf=settings.crf,
    )
