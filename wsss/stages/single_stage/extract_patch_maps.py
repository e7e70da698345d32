"""Write the single-stage network's patch scores in the form that every method's class maps have."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from wsss.artefacts.class_maps import MAP_STRIDE, half, size_of
from wsss.artefacts.formats import Manifest, PathLike, Record, read_image, read_manifest
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, tensor_shard
from wsss.config.networks import Coloured
from wsss.methods.cam import merge_views
from wsss.models.colours import with_colours
from wsss.prediction.scorers import load_single_stage
from wsss.single_stage.registry import MAPS, network_model

log = logging.getLogger(__name__)


@again_if_overtaken
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    maps: PathLike,
    kind: str,
    network: dict[str, Any],
    side: int,
    shard: str,
) -> None:
    """Write one shard's class maps: the present classes' probabilities, each divided by its maximum.

    Images without any class get empty maps.

    Args:
        manifest: The data set.
        weights: The trained network.
        maps: Where to write the maps, float16 (K, h, w) in [0, 1], a quarter of the image's size.
        kind: The method, a key of :data:`wsss.single_stage.registry.METHODS`.
        network: The network's settings.
        side: Side of the square, in pixels, that the network sees each image as.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    asked = with_colours(network_model(kind).model_validate(network))
    data = read_manifest(manifest)
    records = data.shard("train", shard)
    provenance = Provenance(
        "extract_patch_maps",
        settings={"kind": kind, "network": asked.model_dump(), "side": side, "shard": shard},
        params={"stride": MAP_STRIDE, "settings": {"kind": "patches", "side": side}},
        inputs={"manifest": manifest, "weights": weights},
    )
    with tensor_shard({"maps": maps}, records, provenance, "patch maps") as out:
        for record, scores in _scores(data, out.missing, weights, kind, asked, side):
            out.write({"maps": _tensors(record, scores, side)})
    log.info("%s: patch maps of %d images", shard, len(records))


def _scores(
    data: Manifest,
    records: Sequence[Record],
    weights: PathLike,
    kind: str,
    network: Coloured,
    side: int,
) -> Iterator[tuple[Record, Tensor]]:
    """What the network says of each image's labels, (C+1, h, w); it is loaded when the first is asked for."""
    scorer = load_single_stage(kind, weights, data, network, side, MAPS[kind])
    for record in records:
        yield record, scorer.scores(read_image(record)[None])[0]


def _tensors(record: Record, scores: Tensor, side: int) -> dict[str, Tensor]:
    """What is stored of one image, by name."""
    return {
        f"{record.id}/classes": torch.tensor(record.classes, dtype=torch.int64),
        f"{record.id}/maps": half(_maps(scores, record, side), record),
    }


def _maps(scores: Tensor, record: Record, side: int) -> Tensor:
    """Maps of the present classes, (K, ceil(H/4), ceil(W/4))."""
    present = scores[[name + 1 for name in record.classes]]  # (K, h, w)
    return merge_views([present], [(side, side)], [False], size_of(record), stride=None, grid=MAP_STRIDE)
