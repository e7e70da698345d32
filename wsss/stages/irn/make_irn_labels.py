"""Cut class maps into labels that IRNet can trust: confident foreground and background, 255 elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.class_maps import ImageMaps
from wsss.artefacts.formats import PathLike, read_image
from wsss.artefacts.shard_writer import again_if_overtaken
from wsss.labelling.cut_maps import cut_shard
from wsss.labelling.thresholds import image_threshold
from wsss.methods.labels import irn_labels, label_thresholds


@again_if_overtaken
def run(
    *,
    manifest: PathLike,
    maps: PathLike,
    labels: PathLike,
    index: PathLike,
    settings: Mapping[str, Any],
    shard: str,
    threshold: PathLike | None = None,
) -> None:
    """Write one shard's label maps; an image without any class is background throughout.

    Args:
        manifest: The data set.
        maps: Class maps of any method.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        settings: ``foreground`` and ``background`` scores, ``gt_prob`` and ``crf``; scores may be relative to
            ``threshold``, a number or a rule that finds it in the maps, see
            :func:`wsss.methods.labels.label_thresholds`.
        shard: Which part of the split ``train``, such as ``002of048``.
        threshold: File of the data set's threshold, where the setting is a rule of one.
    """
    cut_shard("make_irn_labels", _cut, manifest, maps, labels, index, settings, shard, threshold)


def _cut(settings: Mapping[str, Any], item: ImageMaps) -> NDArray[np.uint8]:
    record = item.record
    if not record.classes:
        return np.zeros((record.height, record.width), dtype=np.uint8)
    others = {name: value for name, value in settings.items() if name != "threshold"}
    rule = settings.get("threshold")
    own = None if rule is None else image_threshold(rule, item.maps)
    foreground, background = label_thresholds(settings["foreground"], settings["background"], own)
    chosen = {**others, "foreground": foreground, "background": background}
    return irn_labels(read_image(record), item.upsampled(), record.classes, chosen)
