"""Take class maps for which the classifier is differentiated, one image after the other."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import validate_call
from torch import Tensor, nn

from wsss.artefacts.class_maps import half
from wsss.artefacts.formats import Manifest, PathLike, Record, read_image, read_manifest
from wsss.artefacts.networks import load_network
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, tensor_shard
from wsss.config.classifiers import Network, Views
from wsss.config.networks import Coloured
from wsss.data.datasets import multi_hot
from wsss.data.transforms import normalise, random_crop, random_flip, rescale, to_tensor
from wsss.methods.cam import over_peaks
from wsss.methods.derived_maps.contract import Subject
from wsss.methods.derived_maps.registry import GROUPS, MAPS, ON_TOKENS, PAIRED
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.runtime.device import device

log = logging.getLogger(__name__)

Config = Mapping[str, Any]


@again_if_overtaken
@validate_call
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    cams: PathLike,
    attention: PathLike,
    network: Network,
    views: Views,
    maps: Config,
    shard: str,
) -> None:
    """Write the views' class maps of one shard of the split ``train``, one image after the other.

    The form is that of ``extract_maps``, without attention. The maps of a class are divided by the largest
    value of all its views, which the sum of the views is divided by in the end anyway: what is a product of
    small gradients would be lost in float16.

    Args:
        manifest: The data set.
        weights: The trained classifier; it is read once, and every image meets it as it was trained.
        cams: Where to write the class maps (kind ``views``). Its parameter ``mirror`` is false where an image
            and its mirror image gave one map together.
        attention: Where to write a file of the attention's form without tensors.
        network: The classifier's settings.
        views: The views; what else they store is not read.
        maps: ``kind``, a key of :data:`wsss.methods.derived_maps.registry.MAKERS`, and its settings.
        shard: Which part of the split, such as ``002of048``.
    """
    network, kind = with_colours(network), maps["kind"]
    data = read_manifest(manifest)
    records = data.shard("train", shard)
    model: Any = load_network(build_classifier(network, data.num_classes), weights, data)
    groups = _alone(model, GROUPS[kind](model, maps))
    provenance = Provenance(
        "derive_maps",
        settings={"network": network.model_dump(), "views": views.model_dump(), "maps": maps, "shard": shard},
        params={
            "stride": model.token_stride if ON_TOKENS[kind] else model.stride,
            **views.model_dump(),
            "mirror": views.mirror and not PAIRED[kind],
            "maps": maps,
        },
        inputs={"manifest": manifest, "weights": weights},
    )
    outputs = {"views": cams, "attention": attention}
    with tensor_shard(outputs, records, provenance, f"maps by {kind}") as out:
        for record in out.missing:
            subject = _subject(record, data, network, views)
            found = MAPS[kind](model, subject, groups, maps) if record.classes else []
            out.write({"views": _tensors(record, found), "attention": {}})
    log.info("%s: maps of %d images by %s", shard, len(records), kind)


def _alone(model: nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups, as the only parameters that need a gradient."""
    model.requires_grad_(False)
    for group in groups:
        for parameter in group["params"]:
            parameter.requires_grad_(True)
    return groups


def _subject(record: Record, data: Manifest, network: Coloured, views: Views) -> Subject:
    image, colours = read_image(record), network.colours
    images = [to_tensor(normalise(rescale(image, scale), *colours)).to(device()) for scale in views.scales]
    others = partial(_others, record, data, colours)
    return Subject(views.scales, images, record.classes, views.mirror, others)


def _others(
    record: Record, data: Manifest, colours: tuple[Sequence[float], Sequence[float]], count: int, side: int
) -> tuple[Tensor, Tensor]:
    """Crops of other training images, mirrored in half of the cases, and their tags; see :class:`Subject`.

    All chance comes from the image's id: neither shards nor interruptions change the crops.
    """
    digest = hashlib.sha256(record.id.encode()).digest()
    rng = np.random.default_rng(list(digest[:8]))
    apart = [one for one in data.split("train") if one.classes and not {*one.classes} & {*record.classes}]
    chosen = [apart[place] for place in rng.permutation(len(apart))[:count]]
    crops = [_crop(one, colours, side, rng) for one in chosen]
    tags = [multi_hot(one.classes, data.num_classes) for one in chosen]
    if not chosen:
        return torch.zeros(0, 3, side, side), torch.zeros(0, data.num_classes)
    return torch.stack(crops).to(device()), torch.stack(tags).to(device())


def _crop(
    record: Record,
    colours: tuple[Sequence[float], Sequence[float]],
    side: int,
    rng: np.random.Generator,
) -> Tensor:
    image, _ = random_flip(read_image(record), None, rng)
    square, _ = random_crop(normalise(image, *colours), None, side, rng)
    return to_tensor(square)


def _tensors(record: Record, found: Sequence[Tensor]) -> dict[str, Tensor]:
    """What is stored of one image, by name."""
    classes = torch.tensor(record.classes, dtype=torch.int64)
    maps = {f"{record.id}/cam{view}": half(part, record) for view, part in enumerate(over_peaks(found))}
    return {f"{record.id}/classes": classes, **maps}
