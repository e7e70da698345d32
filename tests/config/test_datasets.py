"""Settings of data sets: what defines their images and labels, apart from what is run on them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.settings import CONFIG
from wsss.config.datasets import (
    Coco,
    CocoData,
    Data,
    Folder,
    FolderData,
    LabelledImages,
    Sample,
    SampleData,
    Used,
    Voc,
    VocData,
    data_of,
    data_settings,
)

KINDS = [(Sample, SampleData), (Voc, VocData), (Coco, CocoData), (Folder, FolderData)]


@pytest.mark.parametrize(("whole", "data"), KINDS)
def test_a_key_says_what_the_data_are_or_what_is_run_on_them(
    whole: type[Used], data: type[LabelledImages]
) -> None:
    assert set(whole.model_fields) == set(data.model_fields) | set(Used.model_fields)
    assert not set(data.model_fields) & set(Used.model_fields)


@pytest.mark.parametrize("name", CONFIG["datasets"])
def test_the_model_says_what_the_parameters_of_jobs_say(name: str) -> None:
    settings = CONFIG["datasets"][name]
    # in the same order, for jobs are compared by their parameters as text
    assert repr(data_of(settings).model_dump()) == repr(data_settings(settings))


@pytest.mark.parametrize(
    ("settings", "made"),
    [
        ({"kind": "sample", "seed": 0, "train": 1, "val": 1, "side": [64, 64]}, True),
        ({"kind": "coco", "root": "coco"}, True),
        ({"kind": "voc", "root": "voc", "sbd": None}, False),
        ({"kind": "folder"}, False),
        ({"kind": "folder", "long_side": 640}, True),
        ({"kind": "folder", "masks_values": {0: "background", 255: "cell"}}, True),
    ],
)
def test_which_data_sets_a_rule_makes_files_for(settings: dict[str, Any], made: bool) -> None:
    data: Data = data_of(settings)
    assert data.is_made is made


def test_of_one_s_own_pictures_is_named_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "images" / "cat").mkdir(parents=True)
    found = FolderData(kind="folder", root=str(tmp_path))
    assert (found.masks, found.labels) == ("masks", None)
    named = FolderData(kind="folder", root=str(tmp_path), masks=None, labels="labels.csv")
    assert (named.masks, named.labels) == (None, "labels.csv")


@pytest.mark.parametrize("kind", ["folder", "coco"])
def test_other_splits_than_three_are_refused(kind: str) -> None:
    split: Any = {"images": "images", "annotations": "instances.json"} if kind == "coco" else "dev.txt"
    with pytest.raises(ValidationError, match="'train', 'val' or 'test'"):
        data_of({"kind": kind, "root": "data", "splits": {"dev": split}})
