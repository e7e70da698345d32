"""Each kind of data set becomes a manifest, and each bad input one error that says what to do."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.datasets import coco_object, coco_set, folder_set, mask, picture, real, voc_set
from wsss.artefacts.formats import Manifest, Record, read_manifest
from wsss.data.records import DataError
from wsss.stages.data import generate_sample, prepare_manifest, render_masks


def prepare(tmp_path: Path, settings: dict[str, Any], source: Path | None = None) -> Manifest:
    path = tmp_path / "results" / "manifest.jsonl"
    prepare_manifest.run(manifest=path, dataset="pets", settings=settings, source=source)
    return read_manifest(path)


def refused(tmp_path: Path, settings: dict[str, Any], source: Path | None = None) -> list[str]:
    """The error's lines after the first, with the temporary folder left out."""
    with pytest.raises(DataError) as caught:
        prepare(tmp_path, settings, source)
    assert not (tmp_path / "results").exists()
    lines = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert lines[0].startswith("data set 'pets' cannot be used, ")
    return lines[1:]


# ------------------------------------------------------------------------------------------- whole data sets


def test_folder(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["id,cat,dog", "a,1,0", "b,0,1", "c,0,0"])
    picture(tmp_path / "images" / "c.png", (5, 9))
    manifest = prepare(tmp_path, settings)
    assert (manifest.dataset, manifest.classes) == ("pets", ("cat", "dog"))
    assert [record.id for record in manifest.records] == ["a", "b", "c"]
    image, label = str(tmp_path / "images" / "a.jpg"), str(tmp_path / "masks" / "a.png")
    assert manifest.records[0] == Record("a", image, label, 6, 8, (0,), ("train", "masked"))
    assert manifest.records[2].classes == ()
    assert (manifest.records[2].height, manifest.records[2].width) == (5, 9)
    assert len(manifest.split("train")) == 3
    assert len(manifest.split("masked")) == 2


def test_voc(tmp_path: Path) -> None:
    voc_set(tmp_path / "VOC2012", {"train": ["t"], "val": ["v"], "test": ["x"]}, {"t": ["dog"], "s": ["cat"]})
    (tmp_path / "train.txt").write_text("s\n")
    (tmp_path / "val.txt").write_text("v\n")
    counts = {"train": 2, "masked": 1, "val": 1, "test": 1}
    settings = {"kind": "voc", "root": str(tmp_path / "VOC2012"), "sbd": str(tmp_path), "labels": None}
    settings |= {"allow_empty_classes": True, "counts": counts}
    manifest = prepare(tmp_path, settings)
    assert {split: len(manifest.split(split)) for split in counts} == counts
    assert manifest.num_classes == 20


def test_coco(tmp_path: Path) -> None:
    settings = coco_set(tmp_path, [coco_object(1, 3, (0, 0, 4, 4), 1), coco_object(2, 7, (1, 1, 3, 2), 2)])
    render_masks.run(source=tmp_path / "source", settings=settings)
    manifest = prepare(tmp_path, settings, tmp_path / "source")
    assert [record.classes for record in manifest.records] == [(0,), (1,), ()]


def test_sample(tmp_path: Path) -> None:
    settings = {"kind": "sample", "seed": 0, "train": 5, "val": 2, "test": 1, "side": [64, 70]}
    generate_sample.run(source=tmp_path / "source", settings=settings)
    manifest = prepare(tmp_path, settings, tmp_path / "source")
    sizes = [len(manifest.split(split)) for split in ("train", "masked", "val", "test")]
    assert sizes == [5, 5, 2, 1]
    assert manifest.num_classes == 5


def test_the_same_bytes_with_any_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = folder_set(tmp_path)
    prepare(tmp_path, settings)
    first = (tmp_path / "results" / "manifest.jsonl").read_bytes()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    prepare(tmp_path, settings)
    assert (tmp_path / "results" / "manifest.jsonl").read_bytes() == first


def test_no_mask_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not prepare(tmp_path, folder_set(tmp_path) | {"masks": None}).split("masked")
    assert "seeds and pseudo labels cannot be scored" in caplog.text


# ------------------------------------------------------------------------------------------------ bad inputs


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewrite(text: str) -> Callable[[Path], object]:
    return lambda root: (root / "labels.csv").write_text(text)


BAD = {
    "missing image": (
        lambda root: (root / "images" / "a.jpg").unlink(),
        "missing image, 1 in all (restore the image or take its id out of the lists):",
        "  'a' in labels.csv: not found in images",
    ),
    "truncated image": (
        lambda root: truncate(root / "images" / "a.jpg"),
        "unreadable image, 1 in all (truncated, no image or of a form that is not read: mend it or take its "
        "id out of the lists):",
        "  'a': images/a.jpg: not a whole image (",
    ),
    "no image": (
        lambda root: (root / "images" / "a.jpg").write_text("<html>"),
        "unreadable image, 1 in all (truncated, no image or of a form that is not read: mend it or take its "
        "id out of the lists):",
        "  'a': images/a.jpg: not a whole image (",
    ),
    "truncated mask": (
        lambda root: truncate(root / "masks" / "a.png"),
        "unreadable mask, 1 in all (expected a whole PNG, palette or 8-bit grey, of class indices):",
        "  'a': masks/a.png: not a whole image (",
    ),
    "colour mask": (
        lambda root: Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / "masks" / "a.png"),
        "unreadable mask, 1 in all (expected a whole PNG, palette or 8-bit grey, of class indices):",
        "  'a': masks/a.png: expected a palette or 8-bit grey label map, found mode RGB",
    ),
    "mask of another size": (
        lambda root: mask(root / "masks" / "a.png", (6, 7)),
        "mask size, 1 in all (a mask has its image's width and height as viewers show them, after its EXIF "
        "orientation):",
        "  'a': masks/a.png: expected 8x6, found 7x6",
    ),
    "mask with a value out of range": (
        lambda root: mask(root / "masks" / "a.png", label=9),
        "mask values, 1 in all (a mask holds 0 for background, 1..C for the classes in their order, "
        "and 255 for ignored; of an own data set say in `masks_values` what other values mean):",
        "  'a': masks/a.png: expected 0..2 and 255, found 9",
    ),
    "unknown class": (
        rewrite("id,class\na,cat\nb,dog\nb,wolf\n"),
        "unknown class, 1 in all (correct the name, or add it to the data set's class list):",
        "  labels.csv, line 4: 'wolf' of 'b'",
    ),
    "id without labels": (
        lambda root: picture(root / "images" / "c.jpg"),
        "id without labels, 1 in all (add its labels; an image that shows no class has a row with no class):",
        "  'c' has no row in labels.csv",
    ),
    "duplicate id": (
        rewrite("a,cat\nb,dog\na,dog\n"),
        "duplicate id, 1 in all (every image has one id, one row and one split: remove the others):",
        "  'a' occurs more than once in labels.csv",
    ),
    "empty class": (
        rewrite("id,cat,dog\na,1,0\nb,1,0\n"),
        "empty class, 1 in all (no training image shows it: add one, drop it, or set allow_empty_classes):",
        "  class 1 ('dog') of 2",
    ),
    "bad flag": (
        rewrite("id,cat,dog\na,1,0\nb,0,maybe\n"),
        "bad row, 1 in all (correct the row; a table of class names instead of 0/1 has the header "
        "`id,class,class,...`):",
        "  labels.csv, line 3: expected 2 cells of 0 or 1, found 'maybe'",
    ),
    "unknown split": (
        rewrite("id,split,class\na,training,cat\nb,train,dog\n"),
        "bad row, 1 in all (correct the row; a table of class names instead of 0/1 has the header "
        "`id,class,class,...`):",
        "  labels.csv, line 2: ",
    ),
    "no training image": (
        rewrite("id,split,class\na,val,cat\nb,val,dog\n"),
        "empty split, 1 in all (list images for it in the table's split column or in a list file):",
        "  no image is in the split 'train'",
    ),
    "missing table": (
        lambda root: (root / "labels.csv").unlink(),
        "missing file, 1 in all (not there: get it, or correct the path in the config):",
        "  labels.csv: named by the data set's entry in the config (paths are relative to its root)",
    ),
    "missing folder": (
        lambda root: (root / "masks").rename(root / "elsewhere"),
        "missing folder, 1 in all (not there: get it, or correct the path in the config):",
        "  masks: named by the data set's entry in the config (paths are relative to its root)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(tmp_path: Path, name: str) -> None:
    spoil, heading, detail = BAD[name]
    settings = folder_set(tmp_path) | {"classes": ["cat", "dog"]}
    spoil(tmp_path)
    lines = refused(tmp_path, settings)
    assert heading in lines
    assert lines[lines.index(heading) + 1].startswith(detail)


def test_missing_mask_of_val(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["id,split,class", "a,val,cat", "b,train,cat"])
    (tmp_path / "masks" / "a.png").unlink()
    assert refused(tmp_path, settings) == [
        "missing mask, 1 in all (restore the mask; without masks at all set the mask folder to null):",
        "  'a': masks/a.png",
    ]


def test_all_findings_come_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = folder_set(
        tmp_path, ["id,cat,dog", "a,1,0", "b,1,0", *(f"gone{n:02d},1,0" for n in range(25))]
    )
    truncate(tmp_path / "images" / "a.jpg")
    mask(tmp_path / "masks" / "b.png", label=7)
    with caplog.at_level(logging.ERROR):
        lines = refused(tmp_path, settings)
    heads = [line.partition(" (")[0] for line in lines if not line.startswith(" ")]
    assert heads == [
        "empty class, 1 in all",
        "missing image, 25 in all",
        "unreadable image, 1 in all",
        "mask values, 1 in all",
    ]
    assert "  ... and 22 more" in lines
    assert "'gone19'" in caplog.text
    assert "... and 5 more" in caplog.text


def test_missing_voc_says_how_to_get_it(tmp_path: Path) -> None:
    settings = {
        "kind": "voc",
        "root": str(tmp_path / "VOC2012"),
        "sbd": str(tmp_path / "SBD"),
        "labels": None,
    }
    text = "\n".join(refused(tmp_path, settings))
    assert "VOC2012/JPEGImages: part of VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk" in text
    assert "missing folder, 3 in all" in text
    assert "missing file, 4 in all" in text


def test_wrong_counts_name_both_numbers(tmp_path: Path) -> None:
    voc_set(tmp_path / "VOC2012", {"train": ["t"], "val": ["v"]}, {"t": ["dog"]})
    settings = {"kind": "voc", "root": str(tmp_path / "VOC2012"), "sbd": None, "allow_empty_classes": True}
    settings["counts"] = {"train": 10582, "masked": 1464, "val": 1449, "test": 1456}
    text = "\n".join(refused(tmp_path, settings))
    assert "split 'train': expected 10582 images, found 1" in text
    assert "wrong count, 4 in all" in text


def test_masks_in_another_order_than_the_labels(tmp_path: Path) -> None:
    settings = folder_set(
        tmp_path, ["id,cat,dog", *(f"i{number},{number % 2},{1 - number % 2}" for number in range(10))]
    )
    for name in "ab":
        (tmp_path / "images" / f"{name}.jpg").unlink()
    for number in range(10):
        picture(tmp_path / "images" / f"i{number}.jpg")
        mask(tmp_path / "masks" / f"i{number}.png", label=1 + number % 2)
    lines = refused(tmp_path, settings)
    assert lines[0].startswith(
        "class order, 2 in all (masks and labels count the classes in different orders"
    )
    assert (
        "mask value 1, by the class list 'cat': of 5 images that show it 0 are labelled 'cat' and 5 'dog'"
        in lines[1]
    )


def test_missing_coco_says_how_to_get_it(tmp_path: Path) -> None:
    text = "\n".join(refused(tmp_path, {"kind": "coco", "root": str(tmp_path / "coco")}, tmp_path))
    assert "coco/train2014: train2014.zip, val2014.zip and annotations_trainval2014.zip from" in text


# ------------------------------------------------------------------------------------------- real photographs


def test_msrc21(tmp_path: Path) -> None:
    settings = {"kind": "folder", "root": str(real("msrc21")), "images": "JPEGImages", "labels": "labels.csv"}
    settings |= {"masks": "SegmentationClass", "classes": "classes.txt"}
    settings["splits"] = {"train": "ImageSets/train.txt", "val": "ImageSets/dev.txt"}
    manifest = prepare(tmp_path, settings)
    assert manifest.num_classes == 14
    shown = {split: [bool(record.classes) for record in manifest.split(split)] for split in ("masked", "val")}
    assert {split: (len(flags), sum(flags)) for split, flags in shown.items()} == {
        "masked": (255, 213),
        "val": (99, 81),
    }


def test_voc12_smoke48(tmp_path: Path) -> None:
    labels = str(real("voc12_meta") / "cls_labels.txt")
    settings = {"kind": "voc", "root": str(real("voc12_smoke48")), "sbd": None, "labels": labels}
    manifest = prepare(tmp_path, settings | {"allow_empty_classes": True})
    assert [len(manifest.split(split)) for split in ("train", "masked", "val", "test")] == [26, 26, 22, 0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_coco128(tmp_path: Path) -> None:
    splits = {"train": {"images": "images", "annotations": "instances.json"}}
    settings = {"kind": "coco", "root": str(real("coco128")), "splits": splits, "allow_empty_classes": True}
    render_masks.run(source=tmp_path / "source", settings=settings)
    manifest = prepare(tmp_path, settings, tmp_path / "source")
    assert (manifest.num_classes, len(manifest.records)) == (80, 128)
    assert sum(bool(record.classes) for record in manifest.records) == 126
    assert len({index for record in manifest.records for index in record.classes}) == 71


def test_photographs_too_large_for_the_classifier_s_scales_are_refused_before_it_trains(
    tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    settings = folder_set(tmp_path, ["id,cat,dog", "a,1,0", "b,0,1", "c,0,0"]) | {"masks": None}
    picture(tmp_path / "images" / "a.jpg", (2048, 2064))
    picture(tmp_path / "images" / "c.png", (2048, 2080))  # without a class, it has no maps
    path = tmp_path / "results" / "manifest.jsonl"
    run = partial(prepare_manifest.run, manifest=path, dataset="pets", settings=settings)
    run(views={"own": {"stride": 16, "scale": 1.5}})
    path.unlink()
    with pytest.raises(DataError) as caught:
        run(views={"own": {"stride": 16, "scale": 2.0}})
    quoted(str(caught.value))
    assert "images of 2064x2048 pixels" in str(caught.value) and not path.exists()
