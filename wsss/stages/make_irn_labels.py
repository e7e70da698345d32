"""Cut class maps into labels that IRNet can trust: confident foreground and background, 255 elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsss.artefacts import PathLike, open_tensors, read_image, read_manifest, write_labels
from wsss.methods.labels import irn_labels
from wsss.stages.class_maps import ImageMaps, stream_maps
from wsss.stages.common import parallel_map, progress

log = logging.getLogger(__name__)


def run(
    *,
    manifest: PathLike,
    maps: PathLike,
    labels: PathLike,
    index: PathLike,
    settings: Mapping[str, Any],
    shard: str,
) -> None:
    """Write one shard's label maps; an image without any class is background throughout.

    Args:
        manifest: The data set.
        maps: Class maps of any method.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        settings: ``foreground`` and ``background`` scores, ``gt_prob`` and ``crf``.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    records = read_manifest(manifest).shard("train", shard)
    inputs = {"manifest": manifest, "maps": maps}
    with open_tensors(maps, "maps") as source:
        items = stream_maps(source, records)
        made = parallel_map(partial(_label, settings), items, torch.get_num_threads())
        made = progress(made, len(records), "making labels for IRNet")
        write_labels(labels, index, made, {"settings": settings, "maps": source.params}, inputs)
    log.info("%s: labels of %d images", shard, len(records))


def _label(settings: Mapping[str, Any], item: ImageMaps) -> tuple[str, NDArray[np.uint8]]:
    record = item.record
    if not record.classes:
        return record.id, np.zeros((record.height, record.width), dtype=np.uint8)
    return record.id, irn_labels(read_image(record), item.upsampled(), record.classes, settings)
