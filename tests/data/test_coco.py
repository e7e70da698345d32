"""COCO's annotations: classes, ids, and the rendered masks."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle

from tests.support.datasets import coco_object, coco_set, real
from wsss.artefacts.formats import read_mask
from wsss.config.datasets import CocoData, CocoSplit
from wsss.data.coco import list_coco, read_annotations, render_mask
from wsss.data.records import DataError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


def published(root: Path) -> CocoData:
    split = CocoSplit(images="images", annotations="instances.json")
    return CocoData(kind="coco", root=str(root), splits={"train": split})


def rendered(tmp_path: Path, *objects: dict) -> np.ndarray:
    settings = coco_set(tmp_path, objects)
    return render_mask(read_annotations(CocoData.model_validate(settings), "train").drawings["1"])


def test_category_ids_become_labels_in_their_order(tmp_path: Path) -> None:
    settings = coco_set(tmp_path, [coco_object(1, 7, (0, 0, 2, 2), 1), coco_object(2, 3, (0, 0, 2, 2), 2)])
    listing = list_coco(CocoData.model_validate(settings), tmp_path / "source")
    assert listing.classes == ("cat", "dog")
    assert [(entry.id, entry.classes) for entry in listing.entries] == [("1", (1,)), ("2", (0,)), ("3", ())]
    assert listing.entries[0].splits == ("train", "masked")
    assert listing.entries[0].mask == tmp_path / "source" / "masks" / "train" / "1.png"


def test_a_rectangle_by_hand(tmp_path: Path) -> None:
    expected = np.zeros((6, 8), np.uint8)
    expected[1:3, 2:6] = 2
    assert np.array_equal(rendered(tmp_path, coco_object(1, 7, (2, 1, 4, 2), 1)), expected)


@pytest.mark.parametrize("order", [1, -1])
def test_the_smaller_object_is_on_top_and_crowds_below(tmp_path: Path, order: int) -> None:
    objects = [
        coco_object(1, 3, (0, 0, 6, 6), 1),
        coco_object(1, 7, (2, 2, 2, 2), 2),
        coco_object(1, 3, (4, 0, 4, 2), 3, iscrowd=1),
    ]
    mask = rendered(tmp_path, *objects[::order])
    assert (mask[2:4, 2:4] == 2).all()
    assert (mask[:2, 4:6] == 1).all()
    assert (mask[:2, 6:] == 255).all()
    assert np.bincount(mask.ravel(), minlength=3)[:3].tolist() == [8, 32, 4]


def test_run_lengths(tmp_path: Path) -> None:
    region = np.zeros((6, 8), np.uint8)
    region[1:4, 3] = 1
    packed = {**rle.encode(np.asfortranarray(region)), "size": [6, 8]}
    packed["counts"] = packed["counts"].decode()
    plain = {"counts": [19, 3, 26], "size": [6, 8]}
    for segmentation in (packed, plain):
        mask = rendered(
            tmp_path / str(id(segmentation)),
            coco_object(1, 3, (0, 0, 1, 3), 1) | {"segmentation": segmentation},
        )
        assert np.array_equal(mask, region)


def test_polygons_without_area_draw_nothing(tmp_path: Path) -> None:
    assert not rendered(tmp_path, coco_object(1, 3, (0, 0, 1, 1), 1, segmentation=[[1, 1, 5, 5]])).any()


def test_a_list_of_ids_restricts_the_split(tmp_path: Path) -> None:
    settings = coco_set(tmp_path, [])
    (tmp_path / "ids.txt").write_text("3\n1\n9\n")
    settings["splits"]["train"]["ids"] = "ids.txt"
    listing = list_coco(CocoData.model_validate(settings), tmp_path / "source")
    assert [entry.id for entry in listing.entries] == ["1", "3"]
    assert [found.kind for found in listing.findings] == ["id without labels"]


def test_an_image_in_two_splits(tmp_path: Path) -> None:
    settings = coco_set(tmp_path, [])
    settings["splits"]["val"] = settings["splits"]["train"]
    assert {found.kind for found in list_coco(CocoData.model_validate(settings), tmp_path).findings} == {
        "duplicate id"
    }


def test_half_a_data_set_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "train2014").mkdir()
    findings = list_coco(CocoData(kind="coco", root=str(tmp_path)), tmp_path / "source").findings
    assert [(found.kind, Path(found.detail.partition(":")[0]).name) for found in findings] == [
        ("missing folder", "val2014"),
        ("missing file", "instances_train2014.json"),
        ("missing file", "instances_val2014.json"),
    ]
    assert "cocodataset.org" in findings[0].detail


@pytest.mark.parametrize("text", ['{"images": [', "[]", '{"images": [], "annotations": []}'])
def test_damaged_annotations(tmp_path: Path, text: str) -> None:
    settings = coco_set(tmp_path, [])
    (tmp_path / "instances.json").write_text(text)
    with pytest.raises(DataError, match=r"instances\.json: not a whole file of COCO instances"):
        read_annotations(CocoData.model_validate(settings), "train")


def test_masks_agree_with_published_ones() -> None:
    """The published masks were drawn by another library, whose outlines differ by a pixel."""
    root = real("coco128")
    drawings = read_annotations(published(root), "train").drawings
    same = total = 0
    for name, drawing in drawings.items():
        truth = read_mask(root / "SegmentationClass" / f"{name}.png")
        same += int((render_mask(drawing) == truth).sum())
        total += truth.size
    assert same / total > 0.996


def test_classes_agree_with_published_ones() -> None:
    root = real("coco128")
    listing = list_coco(published(root), root)
    lines = [line.split() for line in (root / "cls_labels.txt").read_text().splitlines()]
    expected = {line[0]: tuple(sorted(map(int, line[1:]))) for line in lines}
    assert {entry.id: entry.classes for entry in listing.entries} == expected
    assert ("background", *listing.classes) == tuple((root / "classes.txt").read_text().split("\n"))[:81]
