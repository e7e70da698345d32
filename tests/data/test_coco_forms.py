"""COCO's annotations as other programs write them: read, or refused by the annotation's id and its key."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.datasets import coco_object, coco_set
from wsss.config.datasets import CocoData
from wsss.data.coco import list_coco, read_annotations, render_mask
from wsss.data.records import DataError

RECTANGLE = coco_object(1, 7, (2, 1, 4, 2), 31)  # a dog, label 2
EXPECTED = np.zeros((6, 8), np.uint8)
EXPECTED[1:3, 2:6] = 2


def rendered(folder: Path, *objects: dict[str, Any]) -> np.ndarray:
    settings = CocoData.model_validate(coco_set(folder, objects))
    return render_mask(read_annotations(settings, "train").drawings["1"])


def changed(folder: Path, change: Any) -> CocoData:
    """The settings of a data set whose annotations were changed."""
    settings = CocoData.model_validate(coco_set(folder, [RECTANGLE]))
    content = json.loads((folder / "instances.json").read_text())
    change(content)
    (folder / "instances.json").write_text(json.dumps(content))
    return settings


def test_a_flat_polygon_is_one_polygon(tmp_path: Path) -> None:
    flat = {**RECTANGLE, "segmentation": RECTANGLE["segmentation"][0]}
    assert rendered(tmp_path, flat).tolist() == EXPECTED.tolist()


@pytest.mark.parametrize("area", ["left out", None])
def test_a_missing_area_is_counted(tmp_path: Path, area: str | None) -> None:
    large, small = coco_object(1, 3, (0, 0, 8, 6), 1), dict(RECTANGLE)
    for item in (large, small):
        item.pop("area") if area else item.update(area=None)
    mask = rendered(tmp_path, small, large)  # the smaller one lies on top
    assert mask.tolist() == np.where(EXPECTED == 2, 2, 1).tolist()


def test_ids_may_be_text_and_the_file_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["id"] = str(image["id"])
        for category in content["categories"]:
            category["id"] = f"{category['id']}"

    settings = changed(tmp_path, change)
    path = tmp_path / "instances.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    listing = list_coco(settings, tmp_path / "source")
    assert listing.classes == ("cat", "dog")
    assert [entry.classes for entry in listing.entries] == [(1,), (), ()]
    drawing = read_annotations(settings, "train").drawings["1"]
    assert render_mask(drawing).tolist() == EXPECTED.tolist()


def test_two_images_of_one_id_are_an_error(tmp_path: Path) -> None:
    settings = changed(tmp_path, lambda content: content["images"][1].update(id=1))
    with pytest.raises(DataError, match="'1' occurs more than once in the ids of image entries; correct it"):
        read_annotations(settings, "train")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"segmentation": {"size": [8, 6], "counts": [48]}},
            "segmentation: expected run lengths of size [6, 8], found",
        ),
        (
            {"segmentation": {"size": [6, 8], "counts": [40]}},
            "segmentation: expected counts that sum up to 48, found 40",
        ),
        (
            {"segmentation": None},
            "segmentation: expected polygons [x, y, x, y, ...] or run lengths, found None",
        ),
        ({"segmentation": [[1, 1, 5, 5, None, 2]]}, "segmentation: expected polygons"),
        ({"area": "large"}, "area: expected a number, found 'large'"),
        ({"category_id": 9}, "category_id: found 9, no category"),
        ({"category_id": None}, "category_id: found None, no category"),
        ({"image_id": 77}, "image_id: found 77, no image"),
    ],
)
def test_what_cannot_be_read_is_named_by_id_and_key(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    settings = changed(tmp_path, lambda content: content["annotations"][0].update(change))
    with pytest.raises(DataError) as error:
        read_annotations(settings, "train")
    assert f"{tmp_path / 'instances.json'}: annotation 31: {said}" in str(error.value)
    assert "train2014.zip" not in str(error.value)


def test_an_image_without_a_size_is_named(tmp_path: Path) -> None:
    settings = changed(tmp_path, lambda content: content["images"][2].pop("height"))
    with pytest.raises(DataError, match="image 3: height: found None; correct it"):
        read_annotations(settings, "train")


def test_where_to_get_it_is_said_of_the_published_edition_alone(tmp_path: Path) -> None:
    settings = CocoData.model_validate(coco_set(tmp_path, []))
    (tmp_path / "instances.json").write_text("{")
    with pytest.raises(DataError, match=r"not a whole file of COCO instances .*; correct it$"):
        read_annotations(settings, "train")
