"""LabelMe: a JSON file per image, whose polygons are filled in their order, as labelme itself fills them.

A polygon has no holes there. What lies in a hole comes later and covers it, background too, as a polygon of
``_background_``; void is ``__ignore__``. Both names are those of labelme's own examples and converters.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from wsss.artefacts.formats import Labels
from wsss.label_formats.form import Form, Job, Part, as_json, place, read_part
from wsss.label_formats.regions import Region, regions, simplified
from wsss.label_formats.source import Item, check_names
from wsss.methods.void import VOID

BACKGROUND_NAME, VOID_NAME = "_background_", "__ignore__"
VERSION = "6.3.1"  # of labelme, which read such files back
CORNERS = 3  # the fewest that labelme fills: a pixel is one point, said three times


def _part(item: Item, number: int, label: Labels, job: Job) -> bytes:
    names = {0: BACKGROUND_NAME, **job.source.names, VOID: VOID_NAME}
    found = regions(label)
    if tolerance := job.options.tolerance:
        found = [simplified(one, tolerance) for one in found]
    shapes = [_shape(one, names[one.label]) for one in found]
    path = os.path.relpath(item.picture or item.id, (job.out / item.id).parent)
    content = {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": Path(path).as_posix(),
        "imageData": None,
        "imageHeight": label.shape[0],
        "imageWidth": label.shape[1],
        "pixelsChanged": _changed(shapes, label),  # labelme keeps it, without a use for it
    }
    return as_json(content).encode()


def _shape(one: Region, name: str) -> dict[str, Any]:
    points = [*one.outline.tolist(), *[one.outline[-1].tolist()] * (CORNERS - len(one.outline))]
    shape = {"label": name, "points": points, "shape_type": "polygon", "group_id": one.label}
    return {**shape, "description": "", "flags": {}}


def _changed(shapes: Sequence[dict[str, Any]], label: Labels) -> int:
    """Number of pixels that get another label when labelme fills the polygons, which it does by Pillow."""
    image = Image.new("L", label.shape[::-1])
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        corners, value = [tuple(point) for point in shape["points"]], shape["group_id"]
        draw.polygon(corners, outline=value, fill=value)
    return int((np.asarray(image) != label).sum())


def _join(job: Job, parts: Sequence[Part], target: Path) -> str:
    names = [VOID_NAME, BACKGROUND_NAME, *job.source.names.values()]
    (target / "labels.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    changed = pixels = 0
    for part in parts:
        content = read_part(part)
        changed += content["pixelsChanged"]
        pixels += content["imageHeight"] * content["imageWidth"]
        place(target / f"{part.item.id}.json", part)
    return f"as labelme fills them, the polygons change {changed} of {pixels} pixels ({changed / pixels:.2%})"


LABELME = Form(
    title="LabelMe's polygons: a JSON file per image, and labels.txt",
    part=_part,
    join=_join,
    check=lambda source: check_names(source, {BACKGROUND_NAME, VOID_NAME}, "\n"),
    suffix="",
    part_suffix=".json",
    needs_pictures=True,
    void=f"polygons of '{VOID_NAME}', labelme's own name for it",
    options=frozenset({"tolerance"}),
)
