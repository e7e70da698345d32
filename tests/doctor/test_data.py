"""Data sets as ``wsss doctor`` sees them: whole, absent, incomplete, mislabelled."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.datasets import coco_object, coco_set, folder_set, mask, picture, voc_set
from wsss.artefacts.formats import write_mask
from wsss.config.datasets import SampleData, data_of
from wsss.data.voc import VOC_CLASSES
from wsss.doctor import data
from wsss.doctor.data import check_dataset
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict

LISTS = {"train": ["t1", "t2"], "val": ["v1"]}
OBJECTS = {"t1": ["aeroplane"], "t2": ["aeroplane", "dog"], "v1": ["aeroplane"]}
VOC = {"kind": "voc", "sbd": None, "labels": None, "allow_empty_classes": True}


def verdicts(
    settings: dict[str, Any], source: Path = Path("nowhere"), wanted: bool = True
) -> dict[str, Verdict]:
    found, _ = check_dataset("it", data_of(settings), source, wanted)
    return {verdict.subject.removeprefix("it: "): verdict for verdict in found}


def errors(settings: dict[str, Any]) -> list[str]:
    return [line for line, verdict in verdicts(settings).items() if verdict.status == ERROR]


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Any]:
    """VOC's layout with three images, whose counts are stated."""
    voc_set(tmp_path / "VOC", LISTS, OBJECTS)
    return {**VOC, "root": str(tmp_path / "VOC"), "counts": {"train": 2, "masked": 2, "val": 1}}


def linked(folder: Path, names: list[str], suffix: str, made: list[Path]) -> None:
    """Many names for few files: the k-th name is another of the k-th file, in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        os.link(made[number % len(made)], folder / f"{name}{suffix}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A VOC 2012 of the published counts with SBD's lists; image k shows class k modulo 20."""
    folder = tmp_path_factory.mktemp("voc")
    made: dict[str, list[Path]] = {".jpg": [], ".png": [], ".xml": []}
    for number, name in enumerate(VOC_CLASSES):
        paths = {suffix: folder / f"{number}{suffix}" for suffix in made}
        picture(paths[".jpg"], (48, 64), number)
        mask(paths[".png"], (48, 64), number + 1)
        paths[".xml"].write_text(f"<annotation><object><name>{name}</name></object></annotation>")
        for suffix, path in paths.items():
            made[suffix].append(path)
    ids = [f"{number:06d}" for number in range(10582 + 1449)]
    masked, val = ids[:1464], ids[10582:]
    (folder / "ImageSets/Segmentation").mkdir(parents=True)
    for path, names in {
        folder / "ImageSets/Segmentation/train.txt": masked,
        folder / "ImageSets/Segmentation/val.txt": val,
        folder / "SBD/train.txt": ids[1000:9000],
        folder / "SBD/val.txt": [*ids[9000:10582], *val[:500]],
    }.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(names))
    linked(folder / "JPEGImages", ids, ".jpg", made[".jpg"])
    linked(folder / "Annotations", ids, ".xml", made[".xml"])
    numbered = [made[".png"][number % 20] for number in (*range(1464), *range(10582, len(ids)))]
    linked(folder / "SegmentationClass", [*masked, *val], ".png", numbered)
    return {"kind": "voc", "root": str(folder), "sbd": str(folder / "SBD"), "labels": None}


def test_a_whole_voc_has_the_published_counts(whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SECONDS", 1000)  # on a busy machine, too, all of the sample is decoded
    found = verdicts(whole)
    assert found == {
        "data": Verdict(
            OK,
            "it: data",
            "train 10582, masked 1464, val 1449; 20 classes, 1.00 of them a training image; 2913 masks; "
            "128 images decoded, 96 of them with masks",
        )
    }


def test_counts_are_compared_with_the_stated_ones(small: dict[str, Any]) -> None:
    stated = verdicts({**small, "counts": {"train": 10582, "masked": 1464, "val": 1449}})["wrong count"]
    assert (
        stated.status == ERROR
        and "split 'masked': expected 1464 images, found 2 (and 2 more)" in stated.found
    )
    assert "the data set is incomplete" in stated.fix


def test_decoding_ends_with_its_time(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SECONDS", 0)
    found = verdicts(small)
    assert {verdict.status for verdict in found.values()} == {OK}
    assert "0 images decoded" in found["data"].found


def test_a_small_one_is_fine(small: dict[str, Any]) -> None:
    assert errors(small) == []


def test_what_is_absent_is_an_error_only_where_it_is_wanted(tmp_path: Path) -> None:
    settings = {**VOC, "root": str(tmp_path / "none")}
    unwanted = verdicts(settings, wanted=False)["data"]
    assert (unwanted.status, unwanted.found) == (WARNING, f"not here: {tmp_path / 'none'}")
    wanted = verdicts(settings)["missing folder"]
    assert wanted.status == ERROR and str(tmp_path / "none" / "JPEGImages") in wanted.found


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("JPEGImages/t2.jpg", "missing image"),
        ("SegmentationClass/v1.png", "missing mask"),
        ("Annotations/t1.xml", "id without labels"),
        ("ImageSets/Segmentation/val.txt", "missing file"),
    ],
)
def test_what_is_missing_is_named(small: dict[str, Any], file: str, kind: str) -> None:
    path = Path(small["root"]) / file
    path.unlink()
    found = verdicts(small)
    assert list(found) == [kind]
    assert found[kind].status == ERROR and path.stem in found[kind].found and found[kind].fix


def test_damaged_and_mislabelled_files_are_named(small: dict[str, Any]) -> None:
    root = Path(small["root"])
    (root / "JPEGImages/t1.jpg").write_bytes((root / "JPEGImages/t1.jpg").read_bytes()[:300])
    mask(root / "SegmentationClass/v1.png", label=21)
    (root / "Annotations/t2.xml").write_text("<annotation><object><name>wolf</name></object></annotation>")
    found = verdicts(small)
    assert "'t1'" in found["unreadable image"].found
    assert "'v1'" in found["mask values"].found and "0..20 and 255, found 21" in found["mask values"].found
    assert "'wolf'" in found["unknown class"].found


def test_masks_that_count_the_classes_otherwise_are_an_error(tmp_path: Path) -> None:
    settings = {**folder_set(tmp_path), "classes": ["cat", "dog"], "labels": "other.csv"}
    rows = [f"i{number},{('cat', 'dog')[number % 2]}" for number in range(12)]
    (tmp_path / "other.csv").write_text("\n".join(["id,class", *rows]))
    for name in "ab":
        (tmp_path / "images" / f"{name}.jpg").unlink()
    for number in range(12):
        picture(tmp_path / "images" / f"i{number}.jpg")
        mask(tmp_path / "masks" / f"i{number}.png", label=1 + number % 2)
    assert verdicts(settings)["data"].status == OK and errors(settings) == []
    order = verdicts({**settings, "classes": ["dog", "cat"]})["class order"]
    assert order.status == ERROR and "'dog': of 6 images that show it 0 are labelled 'dog'" in order.found
    assert "in the masks' order" in order.fix


def test_labels_that_leave_things_out_are_worth_a_look(small: dict[str, Any]) -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[0], labels[1] = 1, 15
    write_mask(Path(small["root"]) / "SegmentationClass/t1.png", labels)
    assert verdicts(small)["worth a look"].found == "3 of 4 classes in masks are image labels"


def test_annotations_of_coco_need_no_rendered_masks(tmp_path: Path) -> None:
    objects = [coco_object(1, 3, (0, 0, 4, 4), 1), coco_object(2, 7, (0, 0, 4, 4), 2)]
    found = verdicts(coco_set(tmp_path, objects), source=tmp_path / "source")
    assert {verdict.status for verdict in found.values()} == {OK}
    assert "yet to be rendered" in found["data"].found


def test_long_annotations_are_only_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = coco_set(tmp_path, [])
    monkeypatch.setattr(data, "LONG", 10)
    monkeypatch.setattr(json, "loads", lambda text: pytest.fail("read"))
    assert errors(settings) == []
    (tmp_path / "instances.json").write_text('{"images": [')
    assert "it was cut" in verdicts(settings)["bad annotations"].found
    picture(tmp_path / "images" / "4.jpg")
    (tmp_path / "images" / "4.jpg").write_bytes(b"cut")
    assert errors(settings) == ["bad annotations", "unreadable image"]
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    assert "empty split" in errors(settings)


def test_the_generated_set_needs_nothing(tmp_path: Path) -> None:
    settings = SampleData(kind="sample", seed=0, train=240, val=60, side=[64, 96])
    found, facts = check_dataset("sample", settings, tmp_path, False)
    assert [verdict.status for verdict in found] == [OK]
    assert facts is not None and facts.images["train"] == 240


def test_pictures_of_images_that_are_not_there(tmp_path: Path) -> None:
    verdicts, _ = check_dataset("mine", data_of(folder_set(tmp_path)), tmp_path, True, ["a", "c"])
    (wrong,) = [verdict for verdict in verdicts if verdict.status == ERROR]
    assert (wrong.subject, wrong.found) == (
        "mine: examples",
        "examples.images: expected ids such as a, found c",
    )
