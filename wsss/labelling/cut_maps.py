"""Cut a shard of class maps into label maps, in parallel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

import wsss.methods.cam  # noqa: F401 (with it torch, once, before the worker processes fork)
from wsss.artefacts.class_maps import ImageMaps, stream_maps
from wsss.artefacts.formats import PathLike, open_arrays, read_manifest
from wsss.artefacts.shard_writer import Provenance, label_shard
from wsss.labelling.thresholds import Cutting, resolved
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.threads import thread_count

log = logging.getLogger(__name__)

Cut: TypeAlias = Callable[[Cutting, ImageMaps], NDArray[np.uint8]]


def cut_shard(
    stage: str,
    cut: Cut[Cutting],
    manifest: PathLike,
    maps: PathLike,
    labels: PathLike,
    index: PathLike,
    settings: Cutting,
    shard: str,
    threshold: PathLike | None = None,
) -> None:
    """Write the label maps of one shard of the split ``train``.

    Args:
        stage: The stage's name.
        cut: A module-level function of the settings and an image's maps; returns labels, uint8 (H, W).
        manifest: The data set.
        maps: Class maps of any method.
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        settings: Handed to ``cut`` and kept in the index, with the parameters of the maps.
        shard: Which part of the split, such as ``002of048``.
        threshold: File of the data set's threshold, where the setting ``threshold`` is a rule of one; ``cut``
            is handed the number, and the index keeps it, too.
    """
    made = resolved(settings, threshold)
    found = {"threshold": made.threshold} if threshold is not None else {}
    files = {"threshold": threshold} if threshold is not None else {}
    records = read_manifest(manifest).shard("train", shard)
    with open_arrays(maps, "maps") as source:
        provenance = Provenance(
            stage,
            settings={"settings": made.model_dump(), "shard": shard},
            params={"settings": settings.model_dump(), "maps": source.params, **found},
            inputs={"manifest": manifest, "maps": maps, **files},
        )
        with label_shard(labels, index, records, provenance, "making label maps") as out:
            items = stream_maps(source, out.missing)
            for label in parallel_map(partial(cut, made), items, thread_count()):
                out.write(label)
    log.info("%s: label maps of %d images", shard, len(records))
