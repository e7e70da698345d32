"""Which changes of an own data set's lists concern its training images."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.datasets import mask, picture
from wsss.config.datasets import FolderData, data_of
from wsss.config.reading import read_config
from wsss.stages.data import prepare_manifest, select_training
from wsss.workflow.training_part import training_unchanged

Own = tuple[FolderData, Path]
TABLE = "id,split,class\na,train,cat\nb,train,dog\nc,val,cat\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Own:
    """An own data set of three pictures, two of them of train, and the manifest of these."""
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        picture(tmp_path / f"data/images/{name}.png")
    for name in "ac":
        mask(tmp_path / f"data/masks/{name}.png")
    Path("data/labels.csv").write_text(TABLE)
    Path("mine.yaml").write_text("datasets: {mine: {kind: folder, root: data, masks: masks}}")
    settings = data_of(read_config([Path("mine.yaml")])["datasets"]["mine"])
    assert isinstance(settings, FolderData)
    prepare_manifest.run(manifest="manifest.jsonl", dataset="mine", settings=settings)
    select_training.run(manifest="manifest.jsonl", training="train.jsonl")
    return settings, Path("train.jsonl")


def write(text: str) -> Callable[[], object]:
    def change() -> None:
        Path("data/labels.csv").write_text(text)
        picture(Path("data/images/d.png"))

    return change


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda: None, True),
        (write(TABLE + "d,val,dog\n"), True),
        (write(TABLE.replace("c,val", "c,test")), True),
        (lambda: mask(Path("data/masks/d.png")), True),  # of no image that is listed
        (write("sep=;\n" + TABLE.replace(",", ";")), True),  # says the same
        (write(TABLE + "d,train,dog\n"), False),
        (write(TABLE.replace("b,train,dog", "b,train,cat,dog")), False),
        (write(TABLE.replace("b,train", "b,val")), False),
        (write(TABLE + "d,val,bird\n"), False),  # a class more is an output more
        (lambda: mask(Path("data/masks/b.png")), False),  # one more to score
        (lambda: Path("data/images/b.png").rename("data/images/b.bmp"), False),
        (lambda: Path("data/labels.csv").unlink(), False),
        (lambda: Path("train.jsonl").write_text("cut"), False),
        (lambda: Path("train.jsonl").unlink(), False),
    ],
)
def test_a_change_concerns_the_training_images(own: Own, change: Callable[[], object], same: bool) -> None:
    change()
    assert training_unchanged(own[0], None, own[1]) is same


def test_converted_masks_are_those_of_the_manifest(own: Own) -> None:
    settings = own[0].model_copy(update={"masks_values": {0: "background", 1: "cat"}})
    prepare_manifest.run(manifest="manifest.jsonl", dataset="mine", settings=own[0])
    assert not training_unchanged(settings, Path("source"), own[1])
