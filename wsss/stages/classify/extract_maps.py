"""Run the classifier over scaled and mirrored views; store class maps and the attention diffusion needs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import validate_call
from torch import Tensor

from wsss.artefacts.class_maps import half, size_of
from wsss.artefacts.formats import ArtefactError, PathLike, Record, read_image, read_manifest
from wsss.artefacts.networks import load_network
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, tensor_shard
from wsss.config.classifiers import Features, Network, Views
from wsss.config.networks import Coloured
from wsss.data.transforms import normalise, rescale, scaled_size, to_tensor
from wsss.methods.attention import aggregate_attention, class_attention, feature_affinity
from wsss.methods.class_maps.contract import Held
from wsss.methods.class_maps.registry import STORED
from wsss.methods.class_maps.tscam import token_maps_of
from wsss.methods.diffusion import cached_count, coneighbour_similarity, nearest_coneighbours
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.models.outputs import Classifier, ClassifierOutput
from wsss.runtime.device import device

# What one forward pass may take, by the estimate of `_batch_size`. It is a constant, never the memory at
# hand, so that the same images meet in a batch on every machine and the bytes stay the same.
BATCH_BYTES = 256 * 2**20
ATTENTION_BYTES = 4 * 12  # float32, for each of about twelve blocks, for each pair of tokens
PIXEL_BYTES = 1024  # activations of the convolutions, for each pixel
MAX_TOKENS = 2**16  # neighbours are stored as uint16

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """Images of one size at one scale: the scale's number in the list of scales, and the images' records.

    Without a scale, it is the images' classes that are stored, of any images.
    """

    scale: int | None
    records: Sequence[Record]


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
    shard: str,
) -> None:
    """Write the views' raw class maps and attention of one shard of the split ``train``.

    Images without any class get no maps, only an empty list of classes. A network without attention gets an
    attention file without tensors. Beside a batch's own memory (:data:`BATCH_BYTES`; one image at least) it
    takes four matrices (N, N) of float32 and three of blocks of rows, of one image at a time.

    Args:
        manifest: The data set.
        weights: The trained classifier.
        cams: Where to write the class maps (kind ``views``): ``cam``, ``tokens`` of a network whose tokens
            have others, and what methods of :data:`STORED` have stored where ``views`` asks for it. Its
            parameter ``token_maps`` names those of the tokens, ``cam`` or ``tokens``, if there are any.
        attention: Where to write co-neighbours and class attention.
        network: The classifier's settings.
        views: The views and what is stored of them.
        shard: Which part of the split, such as ``002of048``.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    records = data.shard("train", shard)
    built = load_network(build_classifier(network, data.num_classes), weights, data)
    model = cast(Classifier, built)
    mapped = [record for record in records if record.classes]
    if model.token_stride is not None:
        _check_tokens(mapped, views.scales, model.token_stride)
    batches = _batches(mapped, views.scales, model.token_stride or model.stride)
    token_maps = token_maps_of(network.kind, getattr(network, "token_head", None))
    provenance = Provenance(
        "extract_maps",
        settings={"network": network.model_dump(), "views": views.model_dump(), "shard": shard},
        params={
            "stride": model.stride,
            **views.model_dump(),
            **({"token_maps": token_maps} if token_maps else {}),
        },
        inputs={"manifest": manifest, "weights": weights},
    )
    outputs = {"views": cams, "attention": attention}
    units = [Batch(None, records), *batches]
    with tensor_shard(outputs, units, provenance, "extracting maps") as out:
        for batch in out.missing:
            out.write(_tensors(model, batch, network, views))
    log.info("%s: maps of %d images in %d batches", shard, len(records), len(batches))


def _check_tokens(records: Sequence[Record], scales: Sequence[float], stride: int) -> None:
    """Refuse views whose tokens cannot be numbered, before the first one takes its memory."""
    for record in records:
        for scale in scales:
            tokens = _token_count(*scaled_size(size_of(record), scale), stride)
            if tokens > MAX_TOKENS:
                gigabytes = ATTENTION_BYTES * tokens**2 / 1e9
                raise ArtefactError(
                    f"{record.image}: expected at most {MAX_TOKENS} tokens a view, found {tokens} tokens at "
                    f"scale {scale}, whose attention would take about {gigabytes:.0f} GB; take smaller scales"
                )


def _token_count(height: int, width: int, stride: int) -> int:
    return math.ceil(height / stride) * math.ceil(width / stride)


def _batches(records: Sequence[Record], scales: Sequence[float], stride: int) -> list[Batch]:
    """Group images of one size, in the manifest's order, for each scale into batches that fit the budget."""
    groups: dict[tuple[int, int], list[Record]] = {}
    for record in records:
        groups.setdefault(size_of(record), []).append(record)
    batches: list[Batch] = []
    for group in groups.values():
        for number, scale in enumerate(scales):
            size = _batch_size(*scaled_size(size_of(group[0]), scale), stride)
            parts = (group[start : start + size] for start in range(0, len(group), size))
            batches.extend(Batch(number, part) for part in parts)
    return batches


def _batch_size(height: int, width: int, stride: int) -> int:
    tokens = _token_count(height, width, stride)
    return max(1, BATCH_BYTES // (ATTENTION_BYTES * tokens**2 + PIXEL_BYTES * height * width))


def _tensors(
    model: Classifier, batch: Batch, network: Coloured, views: Views
) -> dict[str, dict[str, Tensor]]:
    """What is stored of a batch: tensors of the class maps' file and of the attention's, by name."""
    if batch.scale is None:
        classes = {record.id: torch.tensor(record.classes, dtype=torch.int64) for record in batch.records}
        return {"views": {f"{name}/classes": tensor for name, tensor in classes.items()}, "attention": {}}
    maps, neighbours = _extract(model, batch.scale, batch.records, network, views)
    return {"views": maps, "attention": neighbours}


@torch.inference_mode()
def _extract(
    model: Classifier,
    scale: int,
    records: Sequence[Record],
    network: Coloured,
    views: Views,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """All stored tensors of a batch: those of the class maps' file and those of the attention's."""
    pictures = [_load(record, views.scales[scale], network) for record in records]
    images = torch.stack(pictures).to(device())  # (B, 3, H, W)
    maps: dict[str, Tensor] = {}
    neighbours: dict[str, Tensor] = {}
    flips = (False, True) if views.mirror else (False,)
    for flip in flips:
        output = model(images.flip(-1) if flip else images)
        view = scale * len(flips) + flip
        for row, record in enumerate(records):
            found, lists = _of_view(output, row, record, views)
            maps.update((f"{record.id}/{name}{view}", tensor) for name, tensor in found.items())
            neighbours.update((f"{record.id}/{name}{view}", tensor) for name, tensor in lists.items())
    return maps, neighbours


def _of_view(
    output: ClassifierOutput, row: int, record: Record, views: Views
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What is stored of one image of a batch, by name: its maps, raw (K, h, w), and lists of its tokens."""
    cam = output.class_maps[row, list(record.classes)].float()  # (K, h, w)
    maps = {"cam": cam}
    if output.token_maps is not None:
        maps["tokens"] = output.token_maps[row, list(record.classes)]
    if output.attention is None:
        return _halves(maps, record), {}
    blocks = output.attention[row].float()  # (L, N+1, N+1)
    matrix = _affinity(output, row, blocks, views)  # (N, N)
    for stored in STORED.values():
        maps |= stored(Held(cam, blocks, matrix), views)
    token = half(class_attention(blocks), record)
    return _halves(maps, record), {"token": token, **_neighbours(matrix, views, record)}


def _affinity(output: ClassifierOutput, row: int, blocks: Tensor, views: Views) -> Tensor:
    """Relations among the patches of one image of a batch, by the kind that ``views`` names, (N, N)."""
    related = views.affinity
    if not isinstance(related, Features):
        return aggregate_attention(blocks, per_block=views.per_block)
    if output.features is None:
        raise ValueError("views.affinity: expected a network that gives its tokens' features, found none")
    return feature_affinity(output.features[row].float(), beta=related.beta, gamma=related.gamma)


def _halves(tensors: Mapping[str, Tensor], record: Record) -> dict[str, Tensor]:
    return {name: half(tensor, record) for name, tensor in tensors.items()}


def _load(record: Record, scale: float, network: Coloured) -> Tensor:
    image: NDArray[np.uint8] = read_image(record)
    return to_tensor(normalise(rescale(image, scale), *network.colours))


def _neighbours(matrix: Tensor, views: Views, record: Record) -> dict[str, Tensor]:
    """Each token's most similar tokens, most similar first, with the attention paid to them."""
    count = cached_count(views.cached_neighbours, len(matrix))
    indices, values = nearest_coneighbours(matrix, count)
    found = {"neighbours": indices.to("cpu", torch.uint16), "values": half(values, record)}
    if views.cache_similarity:
        similarity = coneighbour_similarity(matrix).gather(1, indices.long())
        found["similarities"] = half(similarity, record)
    return found
