"""Small data sets for tests, and where the real ones lie."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsss.artefacts.formats import write_mask

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"


def real(name: str) -> Path:
    """A folder of real photographs beside the repository; skips the test where there is none."""
    if not (REAL / name).is_dir():
        pytest.skip(f"no real data {name}")
    return REAL / name


def picture(path: Path, size: tuple[int, int] = (6, 8), seed: int = 0) -> None:
    """Write a random image of height and width ``size``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path: Path, size: tuple[int, int] = (6, 8), label: int = 1) -> None:
    """Write a label map whose upper half has a label."""
    labels = np.zeros(size, np.uint8)
    labels[: size[0] // 2] = label
    write_mask(path, labels)


def folder_set(root: Path, rows: Sequence[str] = ("id,cat,dog", "a,1,0", "b,0,1")) -> dict[str, Any]:
    """Write a data set of the kind ``folder`` with images and masks a and b; returns its settings."""
    for seed, name in enumerate("ab"):
        picture(root / "images" / f"{name}.jpg", seed=seed)
        mask(root / "masks" / f"{name}.png")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"kind": "folder", "root": str(root), "images": "images", "labels": "labels.csv", "masks": "masks"}


def voc_set(root: Path, lists: Mapping[str, Sequence[str]], objects: Mapping[str, Sequence[str]]) -> None:
    """Write a VOC2012 folder with lists of ids and annotations with object names."""
    for split, ids in lists.items():
        path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in ids))
        for name in ids:
            if split != "test":
                mask(root / "SegmentationClass" / f"{name}.png")
    for name in {*objects, *(name for ids in lists.values() for name in ids)}:
        picture(root / "JPEGImages" / f"{name}.jpg")
    (root / "Annotations").mkdir()
    for name, names in objects.items():
        parts = "".join(f"<object><name>{item}</name></object>" for item in names)
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{parts}</annotation>")


def coco_object(image: int, category: int, box: Sequence[float], number: int, **more: Any) -> dict[str, Any]:
    """An annotation that is a rectangle (left, top, width, height)."""
    left, top, width, height = box
    corners = [left, top, left + width, top, left + width, top + height, left, top + height]
    annotation = {"id": number, "image_id": image, "category_id": category, "iscrowd": 0}
    return {**annotation, "area": width * height, "segmentation": [corners], **more}


def coco_set(root: Path, annotations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write a data set with three images, of categories 3 (cat) and 7 (dog); returns its settings."""
    images = [{"id": number, "file_name": f"{number}.jpg", "height": 6, "width": 8} for number in (1, 2, 3)]
    categories = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
    for image in images:
        picture(root / "images" / image["file_name"])
    content = {"images": images, "annotations": list(annotations), "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    splits = {"train": {"images": "images", "annotations": "instances.json"}}
    return {"kind": "coco", "root": str(root), "splits": splits}
