"""COCO 2014, or any data set of images with COCO's instance annotations.

Category ids, which have gaps, become 0-based classes in their order. Masks are rendered once, by the stage
render_masks.
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

from wsss.artefacts.files import Values
from wsss.config.datasets import CocoData, CocoSplit, Split
from wsss.data.records import DataError, Entry, Finding, Listing, duplicates, missing, read_ids
from wsss.methods.void import VOID

DEFAULT_SPLITS: dict[Split, CocoSplit] = {
    "train": CocoSplit(images="train2014", annotations="annotations/instances_train2014.json"),
    "val": CocoSplit(images="val2014", annotations="annotations/instances_val2014.json"),
}
HINT = (
    "train2014.zip, val2014.zip and annotations_trainval2014.zip from https://cocodataset.org/#download, "
    "unpacked in `root`"
)


class Object(NamedTuple):
    """What is drawn of an annotation."""

    label: int
    segmentation: Any  # polygons, or run lengths
    crowd: bool
    area: float | None  # as the annotation says
    order: tuple[int, str]  # of its id


class Drawing(NamedTuple):
    """All that is needed to render one image's mask."""

    id: str
    height: int
    width: int
    objects: list[Object]


@dataclass(frozen=True)
class Annotations:
    """A read annotation file: class names, image files by id, and drawings by id."""

    classes: tuple[str, ...]
    files: dict[str, str]
    drawings: dict[str, Drawing]
    findings: tuple[Finding, ...]


def coco_splits(settings: CocoData) -> dict[Split, CocoSplit]:
    """The splits with their files; by default those of COCO 2014."""
    return settings.splits or DEFAULT_SPLITS


def check_paths(settings: CocoData) -> list[Finding]:
    """Findings for folders and files of the data set that do not exist."""
    root, splits = Path(settings.root), coco_splits(settings).values()
    lists = [name for files in splits for name in (files.annotations, files.ids) if name]
    return missing([root / files.images for files in splits], [root / name for name in lists], HINT)


def read_annotations(settings: CocoData, split: Split) -> Annotations:
    """Read one split's annotation file; raises :class:`DataError` where it is not of COCO's form."""
    root, files = Path(settings.root), coco_splits(settings)[split]
    path = root / files.annotations
    fix = "correct it" if settings.splits else f"get it again: {HINT}"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        annotations = _parse(content, path)
    except CocoError as error:
        raise DataError(f"{path}: {error}; correct it") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a whole file of COCO instances ({error!r}); {fix}") from error
    return _restrict(annotations, read_ids(root / files.ids)) if files.ids else annotations


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


def _named(part: str, item: Values, number: int) -> str:
    return f"{part} {item['id']!r}" if item.get("id") is not None else f"{part} number {number}"


def _check_keys(part: str, item: Values, number: int, kinds: Mapping[str, type | tuple[type, ...]]) -> None:
    for key, kind in kinds.items():
        if not isinstance(item.get(key), kind):
            raise CocoError(f"{_named(part, item, number)}: {key}: found {item.get(key)!r}")


def _number(identifier: int | str) -> tuple[int, str]:
    """Orders ids: numbers, also those written as text, by their value, then words."""
    text = str(identifier)
    return (int(text), "") if text.isdecimal() else (sys.maxsize, text)


def _object(item: Values, number: int, labels: Mapping[str, int], drawing: Drawing) -> Object:
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
    label, crowd = labels[str(item["category_id"])], bool(item.get("iscrowd"))
    return Object(label, segmentation, crowd, area, order)


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
    drawn = [(item, _region(item.segmentation, drawing)) for item in drawing.objects]
    for item, region in sorted(drawn, key=lambda pair: _depth(*pair)):
        mask[region] = VOID if item.crowd else item.label
    return mask


def _depth(item: Object, region: NDArray[np.bool_]) -> tuple[bool, float, tuple[int, str]]:
    """Where an object lies below others; its area is counted where the annotation has none."""
    area = region.sum() if item.area is None else item.area
    return (not item.crowd, -float(area), item.order)


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


def list_coco(settings: CocoData, source: Path | None = None) -> Listing:
    """List a data set with COCO's annotations; every image has a mask, so all of train is scored.

    Args:
        settings: Where its parts lie.
        source: Folder with the rendered masks.

    Returns:
        Entries sorted by id within their split, and findings.
    """
    absent = check_paths(settings)
    if absent or source is None:
        return Listing(findings=tuple(absent or missing([Path("masks")], [], "made by render_masks")))
    splits = coco_splits(settings)
    read = {split: read_annotations(settings, split) for split in splits}
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
        _entry(Path(settings.root, splits[split].images), source, split, annotations, name)
        for split, annotations in read.items()
        for name in sorted(annotations.files)
    ]
    return Listing(classes, tuple(entries), tuple(findings))


def _entry(images: Path, source: Path, split: str, annotations: Annotations, name: str) -> Entry:
    labels = {item.label - 1 for item in annotations.drawings[name].objects}
    splits = ("train", "masked") if split == "train" else (split,)
    image = images / annotations.files[name]
    return Entry(name, image, mask_path(source, split, name), tuple(sorted(labels)), splits)
