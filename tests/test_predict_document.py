"""Every command and every block of code in docs/predict.md runs, in the order of the page."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.builders import make_data
from tests.support.documents import run_page
from tests.support.predictors import make_predictor
from tests.support.settings import ROOT
from wsss.cli import main

DOCUMENT = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A predictor and photographs where the page has them; the work folder."""
    (tmp_path / "data").mkdir()
    data = make_data(tmp_path / "data")
    (tmp_path / "results/pets").mkdir(parents=True)
    make_predictor(data, "segmenter").rename(tmp_path / "results/pets/predictor")
    (tmp_path / "photos").mkdir()
    for record, name in zip(data.records, "abcd", strict=True):
        (tmp_path / f"photos/{name}.png").write_bytes(Path(record.image).read_bytes())
    return tmp_path


def test_the_page_does_what_it_says(folder: Path) -> None:
    blocks, found = run_page("predict.md", folder)
    assert blocks == 8
    assert found["names"] <= {"background", "cat", "dog", "owl"} and found["names"]
    assert set(np.unique(found["labels"])) <= {0, 1, 2, 3, 255} and (found["labels"] == 255).any()
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["rough"].shape == found["prediction"].labels.shape
    assert found["counts"].sum() == sum(np.prod(Image.open(path).size) for path in folder.glob("photos/*"))
    assert Image.open(folder / "a_colours.png").size == Image.open(folder / "photos/a.png").size
    assert {"a.png", "a.overlay.jpg", "legend.csv"} <= {path.name for path in (folder / "labels").iterdir()}
    assert (folder / "labels.json").is_file()


def test_every_option_of_the_page_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    said = set(re.findall(r"--[a-z][a-z-]*", DOCUMENT)) - {"--cores", "--configfile", "--to", "--images"}
    assert said <= known and len(said) > 8
