"""Whether a data set has anything that scores can be measured on."""

from pathlib import Path
from typing import Any

from tests.support.datasets import folder_set, picture
from wsss.config.datasets import FolderData
from wsss.data.truth import unscored

SPLIT_ROWS = ("id,split,class", "a,val,cat", "b,train,cat")


def settings(root: Path, rows: tuple[str, ...] = ("a,cat", "b,dog"), **changed: Any) -> FolderData:
    return FolderData(**{**folder_set(root, rows), **changed})


def test_masks_without_val_score_the_training_images_alone(tmp_path: Path) -> None:
    assert unscored(settings(tmp_path), "train") is None
    found = unscored(settings(tmp_path), "val")
    assert found is not None and f"the column split of {tmp_path / 'labels.csv'}" in found


def test_list_files_decide_where_there_are_any(tmp_path: Path) -> None:
    for name, ids in (("train.txt", "a\n"), ("val.txt", "b\n"), ("empty.txt", "\n")):
        (tmp_path / name).write_text(ids)
    assert unscored(settings(tmp_path, splits={"train": "train.txt", "val": "val.txt"}), "val") is None
    for splits in ({"train": "train.txt"}, {"train": "train.txt", "val": "empty.txt"}):
        assert unscored(settings(tmp_path, SPLIT_ROWS, splits=splits), "val")


def test_folders_of_splits_count(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "dog" / "1.jpg")
    assert f"a folder {tmp_path}/images/val" in str(unscored(settings(tmp_path, labels=None), "val"))
    picture(tmp_path / "images" / "val" / "dog" / "1.jpg")
    assert unscored(settings(tmp_path, labels=None), "val") is None


def test_what_is_missing_is_left_to_the_check_of_the_data(tmp_path: Path) -> None:
    assert unscored(settings(tmp_path, labels="none.csv"), "val") is None
    assert unscored(settings(tmp_path, splits={"val": "none.txt"}), "val") is None
