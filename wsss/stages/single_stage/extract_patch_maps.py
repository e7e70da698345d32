"""Write the single-stage network's patch scores in the form that every method's class maps have."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wsss.artefacts.class_maps import MAP_STRIDE, half, size_of
from wsss.artefacts.formats import Manifest, PathLike, Record, read_manifest
from wsss.artefacts.shard_writer import Recipe, make_tensors
from wsss.methods.cam import merge_views
from wsss.models.apc import APCOutput
from wsss.models.colours import with_colours
from wsss.prediction.apc_outputs import apc_outputs, on_grid

log = logging.getLogger(__name__)


def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    maps: PathLike,
    network: Mapping[str, Any],
    side: int,
    shard: str,
) -> None:
    """Write one shard's class maps: the present classes' probabilities, each divided by its maximum.

    Images without any class get empty maps.

    Args:
        manifest: The data set.
        weights: The trained network.
        maps: Where to write the maps, float16 (K, h, w) in [0, 1], a quarter of the image's size.
        network: The network's configuration, with ``mean`` and ``std``.
        side: Side of the square, in pixels, that the network sees each image as.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    records = data.shard("train", shard)
    recipe = Recipe(
        "extract_patch_maps",
        "patch maps",
        settings={"network": network, "side": side, "shard": shard},
        params={"stride": MAP_STRIDE, "settings": {"kind": "patches", "side": side}},
        inputs={"manifest": manifest, "weights": weights},
    )
    make_tensors({"maps": maps}, records, partial(_made, data, weights, network, side), recipe)
    log.info("%s: patch maps of %d images", shard, len(records))


def _made(
    data: Manifest, weights: PathLike, network: Mapping[str, Any], side: int, records: Sequence[Record]
) -> Iterator[dict[str, dict[str, Tensor]]]:
    """One image's tensors after the other."""
    for record, output in apc_outputs(data, records, weights, network, side, decode=False):
        tensors = {
            f"{record.id}/classes": torch.tensor(record.classes, dtype=torch.int64),
            f"{record.id}/maps": half(_maps(output, record, side), record),
        }
        yield {"maps": tensors}


def _maps(output: APCOutput, record: Record, side: int) -> Tensor:
    """Maps of the present classes, (K, ceil(H/4), ceil(W/4))."""
    present = [name + 1 for name in record.classes]
    patches = on_grid(output.scores.float(), output.grid)[present]  # (K, h, w)
    return merge_views([patches], [(side, side)], [False], size_of(record), stride=None, grid=MAP_STRIDE)
