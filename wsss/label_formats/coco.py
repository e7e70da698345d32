"""COCO's JSON: an annotation per image and class, its region as compressed run lengths.

An annotation is all of a class in an image: label maps do not tell one object from another, and parts that
hang together are not objects either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from wsss.artefacts.formats import Labels
from wsss.label_formats.form import Form, Job, Part, as_json, read_part
from wsss.label_formats.source import Item, Source, check_names
from wsss.methods.void import VOID

VOID_NAME = "void"


def region(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Run lengths, area in pixels and box (left, top, width, height) of a mask (H, W)."""
    encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "segmentation": {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")},
        "area": int(rle.area(encoded)),
        "bbox": [int(value) for value in rle.toBbox(encoded)],
    }


def _part(item: Item, number: int, label: Labels, job: Job) -> bytes:
    height, width = label.shape
    image = {"id": number, "file_name": item.name, "height": height, "width": width}
    annotations = [
        {
            "image_id": number,
            "category_id": int(value),
            "iscrowd": int(value == VOID),
            **region(label == value),
        }
        for value in np.unique(label)
        if value
    ]
    return as_json({"image": image, "annotations": annotations}).encode()


def _join(job: Job, parts: Sequence[Part], target: Path) -> str:
    """Write image by image: no more than one is in memory."""
    with open(target, "w", encoding="utf-8") as file:
        file.write(f'{{"info": {as_json(_info(job))},\n"images": ')
        _write_list(file, (read_part(part)["image"] for part in parts))
        file.write(',\n"annotations": ')
        _write_list(file, _numbered(parts))
        file.write(f',\n"categories": {as_json(_categories(job.source, parts))}}}\n')
    return ""


def _info(job: Job) -> dict[str, str]:
    folder = Path(os.path.relpath(job.source.root or ".", job.out.parent)).as_posix()  # from this file on
    return {"description": f"labels of {job.source.folder}", "image_folder": folder, "void": COCO.void}


def _write_list(file: TextIO, values: Iterator[dict[str, Any]]) -> None:
    file.write("[")
    for number, value in enumerate(values):
        file.write(f"{',' if number else ''}\n{as_json(value)}")
    file.write("\n]")


def _numbered(parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    number = 0
    for part in parts:
        for annotation in read_part(part)["annotations"]:
            number += 1
            yield {"id": number, **annotation}


def _categories(source: Source, parts: Sequence[Part]) -> list[dict[str, Any]]:
    names = dict(source.names)
    if any(one["category_id"] == VOID for part in parts for one in read_part(part)["annotations"]):
        names[VOID] = VOID_NAME
    return [{"id": label, "name": name, "supercategory": name} for label, name in names.items()]


COCO = Form(
    title="COCO's JSON: an annotation per image and class, with run lengths, area and box",
    part=_part,
    join=_join,
    check=lambda source: check_names(source, {VOID_NAME}),
    suffix=".json",
    part_suffix=".json",
    needs_pictures=True,
    void=f"annotations with iscrowd 1, of a category {VOID} '{VOID_NAME}' that is there if any are",
)
