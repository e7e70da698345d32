"""Every command and every block of code in docs/export.md runs, in the order of the page."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support import label_sources
from tests.support.builders import CLASSES, make_data
from tests.support.documents import run_page
from tests.support.label_sources import TINY, scenes
from tests.support.predictors import make_predictor
from tests.support.settings import ROOT
from wsss.label_formats.registry import FORMS

DOCUMENT = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
CHAIN = Path("run0", "pair", "adcam_n020", "none")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run, predictions and their pictures where the page has them; the work folder."""
    for below in (CHAIN / "pseudo", CHAIN / "deeplab" / "val" / "multi" / "masks"):
        label_sources.run(tmp_path, scenes(), "mine", below)
    label_sources.prediction(tmp_path / "predicted", scenes())
    label_sources.pictures(tmp_path / "photos", scenes())
    (tmp_path / "data").mkdir()
    data = make_data(tmp_path / "data")
    shutil.copytree(make_predictor(data, "segmenter"), tmp_path / "results/mine/predictor")
    shutil.copy(data.records[0].image, tmp_path / "photos/cat.png")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the command hides it from this process, too
    return tmp_path


def test_the_page_does_what_it_says(folder: Path) -> None:
    blocks, found = run_page("export.md", folder)
    assert blocks == 12
    assert found["classes"] == ["background", *CLASSES] and set(found["shown"]) <= set(found["classes"])
    assert (found["labels"] == TINY).all() and not found["known"].all()
    assert found["names"] == {1: "cat", 2: "dog", 3: "owl", 255: "void"}
    assert all((folder / name).exists() for name in ("labels.json", "val.zip", "labelme", "coarse", "studio"))


def test_the_table_has_every_form_and_its_output() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| a (\S+) \|", DOCUMENT)
    assert rows == [(name, f"`{form.suffix}`" if form.suffix else "folder") for name, form in FORMS.items()]
