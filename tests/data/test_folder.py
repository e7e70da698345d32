"""A data set of one's own: names, splits, masks and classes."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.support.datasets import folder_set, mask, picture
from wsss.config.datasets import FolderData
from wsss.data import folder
from wsss.data.image_index import ImageIndex
from wsss.data.records import Listing


def list_folder(settings: dict[str, Any]) -> Listing:
    return folder.list_folder(FolderData.model_validate(settings))


def kinds(listing: Listing) -> list[str]:
    return [found.kind for found in listing.findings]


def test_ids_with_and_without_extension_are_one_image(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["a.jpg,dog,cat", "b,cat"])
    listing = list_folder(settings)
    assert listing.classes == ("cat", "dog")
    assert [(entry.id, entry.classes, entry.splits) for entry in listing.entries] == [
        ("a", (0, 1), ("train", "masked")),
        ("b", (0,), ("train", "masked")),
    ]
    assert listing.entries[0].image == tmp_path / "images" / "a.jpg"
    assert listing.entries[0].mask == tmp_path / "masks" / "a.png"
    assert listing.findings == ()


@pytest.mark.parametrize("name", ["deep/er/x y.v2", "größe", "Ünï,code'(1)", "x.y.z"])
def test_any_file_name(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "images" / f"{name}.PNG")
    mask(tmp_path / "masks" / f"{name}.png")
    (tmp_path / "labels.csv").write_text(f'"{name}",cat\n', encoding="utf-8")
    settings = {
        "kind": "folder",
        "root": str(tmp_path),
        "images": "images",
        "labels": "labels.csv",
        "masks": "masks",
    }
    (entry,) = list_folder(settings).entries
    assert entry.id == name
    assert entry.mask == tmp_path / "masks" / f"{name}.png"


def test_composed_and_decomposed_names_are_the_same(tmp_path: Path) -> None:
    name = "größe"
    picture(tmp_path / f"{unicodedata.normalize('NFD', name)}.png")
    index = ImageIndex(tmp_path)
    assert index.ids() == [name]
    assert len(index.find(f"{name}.png")) == 1


def test_an_id_that_may_mean_two_files(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["a,cat", "b,cat"])
    picture(tmp_path / "images" / "a.png")
    assert kinds(list_folder(settings)) == ["bad id", "id without labels", "id without labels"]
    (tmp_path / "labels.csv").write_text("a.jpg,cat\na.png,cat\nb,cat\n")
    mask(tmp_path / "masks" / "a.png.png")
    listing = list_folder(settings)
    assert [entry.id for entry in listing.entries] == ["a.jpg", "a.png", "b"]
    assert [entry.mask.name for entry in listing.entries if entry.mask] == ["a.png", "a.png.png", "b.png"]


def test_split_column(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["id,split,class", "a,val,cat", "b,train,cat"])
    assert [entry.splits for entry in list_folder(settings).entries] == [("val",), ("train", "masked")]


def test_split_lists_choose_the_images(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["id,class", "a,cat", "b,cat", "not there,cat"])
    picture(tmp_path / "images" / "extra.jpg")
    (tmp_path / "train.txt").write_text("b.jpg\n\n")
    settings["splits"] = {"train": "train.txt"}
    listing = list_folder(settings)
    assert [entry.id for entry in listing.entries] == ["b"]
    assert listing.findings == ()


def test_an_image_in_two_lists(tmp_path: Path) -> None:
    settings = folder_set(tmp_path)
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_text("a\n")
    settings["splits"] = {"train": "train.txt", "val": "val.txt"}
    listing = list_folder(settings)
    assert kinds(listing) == ["duplicate id"]
    assert "already in train" in listing.findings[0].detail


def test_only_val_must_have_masks(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["id,split,class", "a,val,cat", "b,train,cat"])
    for name in "ab":
        (tmp_path / "masks" / f"{name}.png").unlink()
    a, b = list_folder(settings).entries
    assert a.mask == tmp_path / "masks" / "a.png"
    assert (b.mask, b.splits) == (None, ("train",))


def test_without_masks(tmp_path: Path) -> None:
    settings = folder_set(tmp_path) | {"masks": None}
    assert [(entry.mask, entry.splits) for entry in list_folder(settings).entries] == [(None, ("train",))] * 2


def test_class_list_from_a_file_leaves_the_background_out(tmp_path: Path) -> None:
    settings = folder_set(tmp_path)
    (tmp_path / "classes.txt").write_text("background\ndog\ncat\n")
    listing = list_folder(settings | {"classes": "classes.txt"})
    assert listing.classes == ("dog", "cat")
    assert [entry.classes for entry in listing.entries] == [(1,), (0,)]


@pytest.mark.parametrize("written", ["../a", "/a", "x/../../a"])
def test_ids_that_lead_out_of_the_folder(tmp_path: Path, written: str) -> None:
    settings = folder_set(tmp_path, ["a,cat", "b,cat", f"{written},cat"])
    assert kinds(list_folder(settings)) == ["bad id"]


def test_two_rows_for_one_file(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["a,cat", "a.jpg,cat", "b,cat"])
    assert kinds(list_folder(settings)) == ["duplicate id"]


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    settings = folder_set(tmp_path)
    (tmp_path / "images" / "._a.jpg").write_bytes(b"other")
    (tmp_path / "images" / "notes.txt").write_text("other")
    assert list_folder(settings).findings == ()


def in_folders(root: Path, *names: str) -> dict[str, Any]:
    for name in names:
        picture(root / "images" / name)
    return {"kind": "folder", "root": str(root), "labels": None}


def test_a_folder_a_class_is_a_table(tmp_path: Path) -> None:
    settings = in_folders(tmp_path, "dog/1.jpg", "cat/1.jpg", "cat/more/2.png")
    listing = list_folder(settings)
    assert listing.classes == ("cat", "dog") and listing.findings == ()
    assert [(entry.id, entry.classes, entry.splits) for entry in listing.entries] == [
        ("cat/1", (0,), ("train",)),
        ("cat/more/2", (0,), ("train",)),
        ("dog/1", (1,), ("train",)),
    ]


def test_folders_of_splits_around_those_of_classes(tmp_path: Path) -> None:
    settings = in_folders(tmp_path, "train/dog/1.jpg", "val/dog/2.jpg", "train/background/3.jpg")
    mask(tmp_path / "masks" / "val" / "dog" / "2.png")
    listing = list_folder(settings)
    assert listing.classes == ("dog",)
    assert [(entry.id, entry.classes, entry.splits) for entry in listing.entries] == [
        ("train/background/3", (), ("train",)),
        ("train/dog/1", (0,), ("train",)),
        ("val/dog/2", (0,), ("val",)),
    ]


def test_a_class_may_be_called_as_a_split(tmp_path: Path) -> None:
    listing = list_folder(in_folders(tmp_path, "train/1.jpg", "bus/1.jpg"))
    assert listing.classes == ("bus", "train")


def test_folders_in_the_order_of_a_class_list(tmp_path: Path) -> None:
    settings = in_folders(tmp_path, "dog/1.jpg", "cat/1.jpg")
    assert list_folder(settings | {"classes": ["dog", "cat"]}).entries[1].classes == (0,)
    assert kinds(list_folder(settings | {"classes": ["dog"]})) == ["unknown class"]


def test_an_image_outside_the_folders_of_classes(tmp_path: Path) -> None:
    (found,) = list_folder(in_folders(tmp_path, "dog/1.jpg", "2.jpg")).findings
    assert found.kind == "bad table" and "found '2.jpg' in none" in found.detail


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("7", "007.jpg"),
        ("deep/7", "deep/007.jpg"),
        (r"deep\a.jpg", "deep/a.jpg"),
        ("images/a", "a.jpg"),
        (r"images\deep\a", "deep/a.jpg"),
        ("a.jpg", "a.JPG"),
        ("A.JPG", "a.jpg"),
        ("a.jpg", "a.jfif"),
        ("a.jpeg", "a.png"),
        ("größe", "GRÖSSE.jpg"),
    ],
)
def test_ids_that_other_programs_have_changed(tmp_path: Path, written: str, file: str) -> None:
    picture(tmp_path / "images" / file)
    picture(tmp_path / "images" / "other.png")
    (tmp_path / "labels.csv").write_text(f"{written},cat\nother,dog\n", encoding="utf-8")
    listing = list_folder({"kind": "folder", "root": str(tmp_path)})
    assert listing.findings == ()
    assert {entry.image: entry.classes for entry in listing.entries} == {
        tmp_path / "images" / file: (0,),
        tmp_path / "images" / "other.png": (1,),
    }
    (remark,) = listing.remarks
    assert remark.found == f"1 ids are spelt otherwise than their files, such as {written!r} for {file!r}"


def test_changed_ids_that_may_mean_two_files_are_refused(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["a,cat", "b,cat", "7,cat"])
    for name in ("007", "07"):
        picture(tmp_path / "images" / f"{name}.jpg")
    found = next(found for found in list_folder(settings).findings if found.kind == "bad id")
    assert "may mean 007.jpg or 07.jpg" in found.detail


def test_a_missing_image_s_nearest_name_is_said(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["a,cat", "b,cat", "gardem_02,cat", "xyz,cat"])
    picture(tmp_path / "images" / "garden_02.jpg")
    garden, other = [found for found in list_folder(settings).findings if found.kind == "missing image"]
    assert garden.detail.endswith("the nearest name is 'garden_02.jpg'")
    assert other.detail.endswith(f"not found in {tmp_path / 'images'}")


def test_a_mask_has_its_image_s_whole_name(tmp_path: Path) -> None:
    settings = folder_set(tmp_path, ["a,cat", "b,cat", "cell,cat", "cell.2,cat"])
    for name in ("cell", "cell.2"):
        picture(tmp_path / "images" / f"{name}.jpg")
    mask(tmp_path / "masks" / "cell.png")
    masks = {entry.id: entry.mask for entry in list_folder(settings).entries}
    assert masks["cell"] == tmp_path / "masks" / "cell.png"
    assert masks["cell.2"] is None


def test_files_that_are_the_mask_of_no_image_are_said(tmp_path: Path) -> None:
    settings = folder_set(tmp_path)
    assert list_folder(settings).remarks == ()
    picture(tmp_path / "masks" / "a_mask.tif")
    ((found, _),) = list_folder(settings).remarks
    masks = tmp_path / "masks"
    assert found == f"1 files in {masks} are the mask of no image of the lists, such as 'a_mask.tif'"
