"""Draw a few images with what the chain made of them side by side, from class map to prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from pydantic import validate_call

from wsss.artefacts.class_maps import ImageMaps, read_maps, size_of
from wsss.artefacts.formats import (
    ArtefactError,
    PathLike,
    Record,
    open_arrays,
    read_image,
    read_label,
    read_label_index,
    read_manifest,
    read_mask,
)
from wsss.config.datasets import Examples
from wsss.config.segmenters import Inference, SegmenterNetwork
from wsss.methods.class_maps.registry import TITLES as METHOD_TITLES
from wsss.report.example_images import example_records
from wsss.report.figures import Picture, heat_overlay, label_overlay, picture_grid, save
from wsss.stages.segment.predict_masks import label_maps

# How papers write the methods; another method's column bears its name in the configuration.
TITLES = {**METHOD_TITLES, "adcam_n020": "AD-CAM, k 0.2 N"}

Column: TypeAlias = Callable[[Record, Picture], Picture]


@validate_call
def run(
    *,
    manifest: PathLike,
    cams: Sequence[PathLike],
    maps: Sequence[PathLike],
    walked: Sequence[PathLike] = (),
    pseudo: Sequence[PathLike],
    indexes: Sequence[PathLike],
    weights: PathLike,
    figure: PathLike,
    network: SegmenterNetwork,
    settings: Inference,
    method: str,
    examples: Examples,
) -> None:
    """Draw the named images, or some of the split ``masked``, or of ``train`` where no image has a mask.

    Args:
        manifest: The data set.
        cams: All shards of the plain class maps.
        maps: All shards of the method's class maps.
        walked: All shards of the refined class maps, where something refines.
        pseudo: Folders of pseudo labels, a folder a shard.
        indexes: Their indexes, in the same order.
        weights: The segmentation network; it predicts the images that are shown.
        figure: Where to write the picture, a PNG.
        network: The segmentation network's settings.
        settings: How it predicts.
        method: The method's name.
        examples: The ids of those to show, or how many are chosen.
    """
    data = read_manifest(manifest)
    records = example_records(data, examples.images, examples.count)
    ids = [record.id for record in records]
    predicted = dict(zip(ids, label_maps(data, records, weights, network, settings), strict=True))
    columns: dict[str, Column] = {
        "image": lambda record, image: image,
        "CAM": _of_training(_maps_column(cams)),
        TITLES.get(method, method): _of_training(_maps_column(maps)),
        "refined": _of_training(_maps_column(walked)),
        "pseudo label": _of_training(_labels_column(pseudo, indexes)),
        "prediction": lambda record, image: label_overlay(image, predicted[record.id]),
        "truth": _truth,
    }
    if not walked:
        del columns["refined"]
    if all(record.mask is None for record in records):
        del columns["truth"]
    images = [read_image(record) for record in records]
    rows = [[draw(*pair) for draw in columns.values()] for pair in zip(records, images, strict=True)]
    names = ["\n".join(data.classes[index] for index in record.classes) for record in records]
    shown = sorted({index for record in records for index in record.classes})
    save(
        picture_grid(rows, list(columns), names, {data.classes[index]: index + 1 for index in shown}), figure
    )


def _of_training(draw: Column) -> Column:
    """What is made of training images alone; others are left blank there."""
    return lambda record, image: draw(record, image) if "train" in record.splits else _blank(image)


def _blank(image: Picture) -> Picture:
    return np.full_like(image, 255)


def _maps_column(paths: Sequence[PathLike]) -> Column:
    """Draws the highest of the present classes' maps at each pixel."""

    def draw(record: Record, image: Picture) -> Picture:
        for path in paths:
            with open_arrays(path, "maps") as shard:
                if f"{record.id}/maps" in shard:
                    maps = ImageMaps(record, read_maps(shard, record))
                    return heat_overlay(image, maps.upsampled().max(axis=0))
        raise ArtefactError(f"{record.id}: none of the shards {list(map(str, paths))} holds its maps")

    return draw


def _labels_column(folders: Sequence[PathLike], indexes: Sequence[PathLike]) -> Column:
    where = {
        image_id: folder
        for folder, index in zip(folders, indexes, strict=True)
        for image_id in read_label_index(index).ids
    }

    def draw(record: Record, image: Picture) -> Picture:
        return label_overlay(image, read_label(where[record.id], record.id, size_of(record)))

    return draw


def _truth(record: Record, image: Picture) -> Picture:
    return _blank(image) if record.mask is None else label_overlay(image, read_mask(record.mask))
