"""Spread class maps up to the object borders that IRNet found, by a random walk."""

from __future__ import annotations

import logging

import torch
from pydantic import validate_call
from torch import Tensor

from wsss.artefacts.class_maps import MAP_STRIDE, read_maps, size_of
from wsss.artefacts.formats import ArrayShard, PathLike, Record, open_arrays, read_image, read_manifest
from wsss.artefacts.networks import load_network
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, tensor_shard
from wsss.config.networks import Coloured
from wsss.config.refiners import IrnNetwork, Walk
from wsss.data.transforms import long_side_factor, normalise, rescale, scaled_size, to_tensor
from wsss.methods.affinity import random_walk
from wsss.methods.cam import regrid, upsample_maps
from wsss.models.colours import with_colours
from wsss.models.irnet import IRNet, build_irnet, edge_map
from wsss.runtime.device import device

log = logging.getLogger(__name__)


@again_if_overtaken
@validate_call
def run(
    *,
    manifest: PathLike,
    maps: PathLike,
    weights: PathLike,
    walked: PathLike,
    network: IrnNetwork,
    walk: Walk,
    shard: str,
) -> None:
    """Write one shard's class maps after the walk, on the same grid.

    The walk knows nothing of the classes, so an image's maps walk together and stay comparable: they are
    divided by one maximum, that of the maps drawn at the image's size. With a working size the image and its
    maps are brought to it, walked there, and the maps brought back.

    Args:
        manifest: The data set.
        maps: Class maps of any method.
        weights: The trained IRNet.
        walked: Where to write the maps, float16 (K, h, w).
        network: IRNet's settings.
        walk: The walk's, see :func:`wsss.methods.affinity.random_walk`.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    records = data.shard("train", shard)
    with open_arrays(maps, "maps") as source:
        provenance = Provenance(
            "walk_cams",
            settings={"network": network.model_dump(), "walk": walk.model_dump(), "shard": shard},
            params={**source.params, "walk": walk.model_dump()},
            inputs={"manifest": manifest, "maps": maps, "weights": weights},
        )
        with tensor_shard({"maps": walked}, records, provenance, "walking") as out:
            model = load_network(build_irnet(network), weights, data)
            for record in out.missing:
                out.write({"maps": _tensors(model, record, source, network, walk)})
    log.info("%s: walked the maps of %d images", shard, len(records))


def _tensors(
    model: IRNet, record: Record, source: ArrayShard, network: Coloured, walk: Walk
) -> dict[str, Tensor]:
    """What is stored of one image, by name."""
    scores = torch.from_numpy(read_maps(source, record)).float()
    return {
        f"{record.id}/classes": torch.tensor(record.classes, dtype=torch.int64),
        f"{record.id}/maps": _walk(model, record, scores, network, walk).half(),
    }


@torch.inference_mode()
def _walk(model: IRNet, record: Record, scores: Tensor, network: Coloured, walk: Walk) -> Tensor:
    """Walked maps of one image, (K, h, w); their largest value at the image's size is 1."""
    if not len(scores):
        return scores
    own = size_of(record)
    factor = long_side_factor(own, walk.long_side)
    picture, working = rescale(read_image(record), factor), scaled_size(own, factor)
    image = to_tensor(normalise(picture, *network.colours)).to(device())
    edge = edge_map(model, image, pad_to=walk.pad_to)  # (h, w) of the working size
    steps = walk.model_dump(exclude={"long_side", "pad_to"})
    walked = random_walk(regrid(scores.to(device()), own, working, MAP_STRIDE), edge, **steps)
    result = regrid(walked, working, own, MAP_STRIDE)
    highest = upsample_maps(result, MAP_STRIDE, own).max()
    return (result / highest.clamp_min(1e-5)).cpu()
