"""COCO 2014, or any data set of images with COCO's instance annotations.

Settings: ``root`` and optionally ``splits``, which names per split the folder of ``images``, the file of
``annotations`` and optionally a list of ``ids`` to take, all relative to ``root``. Category ids, which have
gaps, become 0-based classes in their order. Masks are rendered once, by the stage render_masks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from wsss.data.records import SPLITS, DataError, Entry, Finding, Listing, duplicates, missing, read_ids
from wsss.methods.void import VOID

DEFAULT_SPLITS = {
    split: {"images": f"{split}2014", "annotations": f"annotations/instances_{split}2014.json"}
    for split in ("train", "val")
}
HINT = (
    "train2014.zip, val2014.zip and annotations_trainval2014.zip from https://cocodataset.org/#download, "
    "unpacked in `root`"
)


class Drawing(NamedTuple):
    """All that is needed to render one image's mask; its objects are annotations with ``label``."""

    id: str
    height: int
    width: int
    objects: list[dict[str, Any]]


@dataclass(frozen=True)
class Annotations:
    """A read annotation file: class names, image files by id, and drawings by id."""

    classes: tuple[str, ...]
    files: dict[str, str]
    drawings: dict[str, Drawing]
    findings: tuple[Finding, ...]


def coco_splits(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The splits with their files; by default those of COCO 2014."""
    return dict(settings.get("splits") or DEFAULT_SPLITS)


def check_paths(settings: Mapping[str, Any]) -> list[Finding]:
    """Findings for folders and files of the data set that do not exist."""
    root = Path(settings["root"])
    splits = coco_splits(settings)
    folders = [root / files["images"] for files in splits.values()]
    lists = [
        root / files[key] for files in splits.values() for key in ("annotations", "ids") if files.get(key)
    ]
    wrong = sorted(set(splits) - set(SPLITS))
    return missing(folders, lists, HINT) + [
        Finding("bad settings", f"splits: expected {', '.join(SPLITS)}, found {split!r}") for split in wrong
    ]


def read_annotations(settings: Mapping[str, Any], split: str) -> Annotations:
    """Read one split's annotation file; raises :class:`DataError` where it is not of COCO's form."""
    root, files = Path(settings["root"]), coco_splits(settings)[split]
    path = root / files["annotations"]
    fix = "correct it" if settings.get("splits") else f"get it again: {HINT}"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        annotations = _parse(content, path)
    except CocoError as error:
        raise DataError(f"{path}: {error}; correct it") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a whole file of COCO instances ({error!r}); {fix}") from error
    return _restrict(annotations, read_ids(root / files["ids"])) if files.get("ids") else annotations


def _parse(content: dict[str, Any], path: Path) -> Annotations:
    images, categories = content["images"], content["categories"]
    for number, image in enumerate(images):
        _check_keys("image", image, number, {"id": (int, str), "file_name": str, "height": int, "width": int})
    for number, category in enumerate(categories):
        _check_keys("category", category, number, {"id": (int, str), "name": str})
    for part, items in (("image", images), ("category", categories)):
        for found in duplicates([str(item["id"]) for item in items], f"the ids of {part} entries"):
            raise CocoError(found.detail)
    categories = sorted(categories, key=lambda category: _number(category["id"]))
    labels = {str(category["id"]): label for label, category in enumerate(categories, start=1)}
    drawings = {
        str(image["id"]): Drawing(_id(image["file_name"]), image["height"], image["width"], [])
        for image in images
    }
    for number, item in enumerate(content["annotations"]):
        drawing = drawings.get(str(item.get("image_id")))
        if drawing is None:
            raise CocoError(
                f"{_named('annotation', item, number)}: image_id: found {item.get('image_id')!r}, no image"
            )
        drawing.objects.append(_object(item, number, labels, drawing))
    twice = duplicates([_id(image["file_name"]) for image in images], str(path))
    return Annotations(
        tuple(str(category["name"]) for category in categories),
        {_id(image["file_name"]): image["file_name"] for image in images},
        {drawing.id: drawing for drawing in drawings.values()},
        tuple(twice),
    )


class CocoError(ValueError):
    """A part of an annotation file that is not of COCO's form; the message names it and its key."""


def _named(part: str, item: Mapping[str, Any], number: int) -> str:
    return f"{part} {item['id']!r}" if item.get("id") is not None else f"{part} number {number}"


def _check_keys(
    part: str, item: Mapping[str, Any], number: int, kinds: Mapping[str, type | tuple[type, ...]]
) -> None:
    for key, kind in kinds.items():
        if not isinstance(item.get(key), kind):
            raise CocoError(f"{_named(part, item, number)}: {key}: found {item.get(key)!r}")


def _number(identifier: int | str) -> tuple[int, str]:
    """Orders ids: numbers, also those written as text, by their value, then words."""
    text = str(identifier)
    return (int(text), "") if text.isdecimal() else (sys.maxsize, text)


def _object(
    item: Mapping[str, Any], number: int, labels: Mapping[str, int], drawing: Drawing
) -> dict[str, Any]:
    """What is drawn of an annotation; ``area`` is None where it has none."""
    name = _named("annotation", item, number)
    if str(item.get("category_id")) not in labels:
        raise CocoError(f"{name}: category_id: found {item.get('category_id')!r}, no category")
    area = item.get("area")
    if not isinstance(area, int | float | None):
        raise CocoError(f"{name}: area: expected a number, found {area!r}")
    try:
        segmentation = _segmentation(item.get("segmentation"), drawing)
    except CocoError as error:
        raise CocoError(f"{name}: segmentation: {error}") from error
    order = _number(item["id"]) if item.get("id") is not None else (number, "")
    drawn = {"iscrowd": item.get("iscrowd") or 0, "area": area, "id": order}
    return drawn | {"segmentation": segmentation, "label": labels[str(item["category_id"])]}


def _segmentation(found: Any, drawing: Drawing) -> Any:
    """Polygons as lists of coordinates, or run lengths of the image's size."""
    size = [drawing.height, drawing.width]
    if isinstance(found, Mapping):
        if list(found.get("size") or []) != size or not isinstance(found.get("counts"), str | list):
            raise CocoError(f"expected run lengths of size {size}, found size {found.get('size')}")
        if isinstance(counts := found["counts"], list) and sum(counts) != size[0] * size[1]:
            raise CocoError(f"expected counts that sum up to {size[0] * size[1]}, found {sum(counts)}")
        return {"size": size, "counts": found["counts"]}
    flat = isinstance(found, list) and bool(found) and all(isinstance(value, int | float) for value in found)
    polygons = [found] if flat else found
    if not isinstance(polygons, list) or not all(_is_polygon(polygon) for polygon in polygons):
        raise CocoError(f"expected polygons [x, y, x, y, ...] or run lengths, found {str(found)[:60]}")
    return polygons


def _is_polygon(found: Any) -> bool:
    return (
        isinstance(found, list)
        and len(found) % 2 == 0
        and all(isinstance(value, int | float) for value in found)
    )


def _id(file_name: str) -> str:
    return str(PurePosixPath(file_name).with_suffix(""))


def _restrict(annotations: Annotations, ids: list[str]) -> Annotations:
    """Only the images that a list names."""
    known = [name for name in ids if name in annotations.files]
    unknown = sorted(set(ids) - set(known))
    return Annotations(
        annotations.classes,
        {name: annotations.files[name] for name in known},
        {name: annotations.drawings[name] for name in known},
        (
            *annotations.findings,
            *duplicates(ids, "a list of ids"),
            *(Finding("id without labels", f"{name!r}: not in the annotations") for name in unknown),
        ),
    )


def render_mask(drawing: Drawing) -> NDArray[np.uint8]:
    """Draw an image's objects: labels 1..C, crowd regions 255.

    Crowd regions lie below all objects, and where objects overlap the smaller one is on top, as it is in
    front more often than not.

    Args:
        drawing: Size and objects of an image.

    Returns:
        Label map, uint8 (H, W).
    """
    mask = np.zeros((drawing.height, drawing.width), np.uint8)
    drawn = [(item, _region(item["segmentation"], drawing)) for item in drawing.objects]
    for item, region in sorted(drawn, key=lambda pair: _depth(*pair)):
        mask[region] = VOID if item["iscrowd"] else item["label"]
    return mask


def _depth(item: Mapping[str, Any], region: NDArray[np.bool_]) -> tuple[Any, ...]:
    """Where an object lies below others; its area is counted where the annotation has none."""
    area = region.sum() if item["area"] is None else item["area"]
    return (-item["iscrowd"], -float(area), item["id"])


def _region(segmentation: Any, drawing: Drawing) -> NDArray[np.bool_]:
    """Decode polygons, or run lengths with or without compression, to (H, W)."""
    size = (drawing.height, drawing.width)
    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if len(polygon) >= 6]  # fewer corners have no area
        if not polygons:
            return np.zeros(size, bool)
        encoded = rle.merge(rle.frPyObjects(polygons, *size))
    elif isinstance(segmentation["counts"], list):
        encoded = rle.frPyObjects(segmentation, *size)
    else:
        encoded = segmentation
    return np.asarray(rle.decode(encoded), bool)


def mask_path(source: Path, split: str, name: str) -> Path:
    """Where render_masks puts the mask of an image."""
    return source / "masks" / split / f"{name}.png"


def list_coco(settings: Mapping[str, Any], source: Path | None = None) -> Listing:
    """List a data set with COCO's annotations; every image has a mask, so all of train is scored.

    Args:
        settings: The data set's entry in the config.
        source: Folder with the rendered masks.

    Returns:
        Entries sorted by id within their split, and findings.
    """
    absent = check_paths(settings)
    if absent or source is None:
        return Listing(findings=tuple(absent or missing([Path("masks")], [], "made by render_masks")))
    read = {split: read_annotations(settings, split) for split in coco_splits(settings)}
    classes = next(iter(read.values())).classes
    findings = [found for annotations in read.values() for found in annotations.findings]
    findings += duplicates(
        [name for annotations in read.values() for name in annotations.files], "all splits"
    )
    findings += [
        Finding("bad annotations", f"split {split!r}: other categories than the first split's")
        for split, annotations in read.items()
        if annotations.classes != classes
    ]
    entries = [
        _entry(
            Path(settings["root"]), source, split, coco_splits(settings)[split]["images"], annotations, name
        )
        for split, annotations in read.items()
        for name in sorted(annotations.files)
    ]
    return Listing(classes, tuple(entries), tuple(findings))


def _entry(root: Path, source: Path, split: str, images: str, annotations: Annotations, name: str) -> Entry:
    labels = {item["label"] - 1 for item in annotations.drawings[name].objects}
    splits = ("train", "masked") if split == "train" else (split,)
    image = root / images / annotations.files[name]
    return Entry(name, image, mask_path(source, split, name), tuple(sorted(labels)), splits)
