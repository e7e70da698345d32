"""Write the single-stage network's patch scores in the form that every method's class maps have."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wsss.artefacts.class_maps import MAP_STRIDE, half, size_of
from wsss.artefacts.formats import PathLike, Record, read_manifest
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, tensor_shard
from wsss.methods.cam import merge_views
from wsss.models.apc import APCOutput
from wsss.models.colours import with_colours
from wsss.prediction.apc_outputs import apc_outputs, on_grid

log = logging.getLogger(__name__)


@again_if_overtaken
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
    provenance = Provenance(
        "extract_patch_maps",
        settings={"network": network, "side": side, "shard": shard},
        params={"stride": MAP_STRIDE, "settings": {"kind": "patches", "side": side}},
        inputs={"manifest": manifest, "weights": weights},
    )
    with tensor_shard({"maps": maps}, records, provenance, "patch maps") as out:
        for record, output in apc_outputs(data, out.missing, weights, network, side, decode=False):
            out.write({"maps": _tensors(record, output, side)})
    log.info("%s: patch maps of %d images", shard, len(records))


def _tensors(record: Record, output: APCOutput, side: int) -> dict[str, Tensor]:
    """What is stored of one image, by name."""
    return {
        f"{record.id}/classes": torch.tensor(record.classes, dtype=torch.int64),
        f"{record.id}/maps": half(_maps(output, record, side), record),
    }


def _maps(output: APCOutput, record: Record, side: int) -> Tensor:
    """Maps of the present classes, (K, ceil(H/4), ceil(W/4))."""
    present = [name + 1 for name in record.classes]
    patches = on_grid(output.scores.float(), output.grid)[0][present]  # (K, h, w)
    return merge_views([patches], [(side, side)], [False], size_of(record), stride=None, grid=MAP_STRIDE)
