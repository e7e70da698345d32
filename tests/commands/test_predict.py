"""The command that labels pictures, as people call it."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.builders import Data, make_data
from tests.support.predictors import make_predictor
from wsss import load_predictor
from wsss.artefacts.formats import palette, read_mask
from wsss.cli import main

BROKEN = b"\xff\xd8\xff\xe0 no picture"


@pytest.fixture
def data(tmp_path: Path) -> Data:
    folder = tmp_path / "data"
    folder.mkdir()
    return make_data(folder)


@pytest.fixture
def predictor(data: Data) -> Path:
    return make_predictor(data, "segmenter")


@pytest.fixture
def photos(data: Data, tmp_path: Path) -> Path:
    """Pictures in folders of several depths."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.1.png", "deep/a.png")):
        (folder / name).write_bytes(Path(data.records[number].image).read_bytes())
    (folder / "notes.txt").write_text("no picture")
    return folder


def predict(predictor: Path, *arguments: str | Path, out: Path) -> int:
    return main(["predict", *map(str, (predictor, *arguments)), "--out", str(out)])


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_pictures(predictor: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(predictor, photos, out=out) == 0
    assert files(out) == {"a.png", "b.1.png", "deep/a.png", "legend.csv", "predictions.json"}
    label = Image.open(out / "a.png")
    assert label.mode == "P" and label.getpalette()[:12] == palette()[:4].ravel().tolist()
    expected = load_predictor(predictor)(photos / "a.png").labels
    assert np.array_equal(read_mask(out / "a.png"), expected)
    assert (out / "legend.csv").read_text().splitlines() == [
        "label,class,red,green,blue",
        "0,background,0,0,0",
        "1,cat,128,0,0",
        "2,dog,0,128,0",
        "3,owl,128,128,0",
    ]


def test_files_patterns_and_standard_input(
    predictor: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(predictor, photos / "a.png", out=tmp_path / "one") == 0
    assert predict(predictor, f"{photos}/b*.png", out=tmp_path / "two") == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{photos}/a.png\n\n{photos}/b.1.png\n"))
    assert predict(predictor, "-", out=tmp_path / "three") == 0
    pngs = [
        {name for name in files(tmp_path / name) if name.endswith("png")} for name in ("one", "two", "three")
    ]
    assert pngs == [{"a.png"}, {"b.1.png"}, {"a.png", "b.1.png"}]


def test_what_else_is_written(predictor: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--overlay", "--probabilities", "--crf", "--scales", "1", "--no-mirror")
    assert predict(predictor, photos, *options, out=out) == 0
    assert {"deep/a.overlay.jpg", "deep/a.npz", "b.1.overlay.jpg", "b.1.npz"} <= files(out)
    assert Image.open(out / "a.overlay.jpg").size == Image.open(photos / "a.png").size
    with np.load(out / "a.npz") as stored:
        assert stored["probabilities"].dtype == np.float16
        assert stored["classes"].tolist() == ["background", "cat", "dog", "owl"]
        assert (stored["probabilities"].argmax(0) == read_mask(out / "a.png")).mean() > 0.99
    made = json.loads((out / "predictions.json").read_text())["inference"]
    assert made["scales"] == [1.0] and made["mirror"] is False and made["crf"]["iterations"] == 10


def test_what_is_there_is_skipped(
    predictor: Path, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    predict(predictor, photos, out=out)
    before = {name: (out / name).stat().st_mtime_ns for name in files(out) if name.endswith(".png")}
    (out / "deep/a.png").unlink()
    later = time.time() + 10
    os.utime(photos / "b.1.png", (later, later))  # changed since
    with caplog.at_level("INFO"):
        assert predict(predictor, photos, out=out) == 0
    assert "1 of 3 pictures are labelled already" in caplog.messages
    after = {name: (out / name).stat().st_mtime_ns for name in before}
    assert {name for name in before if before[name] != after[name]} == {"b.1.png", "deep/a.png"}
    assert predict(predictor, photos, "--overlay", out=out) == 0  # what was not asked for before is made
    assert {"a.overlay.jpg", "b.1.overlay.jpg", "deep/a.overlay.jpg"} <= files(out)


def test_predictions_made_otherwise_are_not_mixed(
    predictor: Path,
    photos: Path,
    tmp_path: Path,
    quoted: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    predict(predictor, photos, out=out)
    assert predict(predictor, photos, "--scales", "2", out=out) == 1
    quoted(capsys.readouterr().err)


def test_a_broken_picture_is_named_and_the_others_go_on(
    predictor: Path,
    photos: Path,
    tmp_path: Path,
    quoted: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (photos / "a.png").write_bytes(BROKEN)
    out = tmp_path / "out"
    assert predict(predictor, photos, out=out) == 1
    assert {"b.1.png", "deep/a.png"} <= files(out) and "a.png" not in files(out)
    assert f"1 of 3 pictures were not labelled: {photos / 'a.png'}" in caplog.messages
    quoted("\n".join(caplog.messages))


def test_two_pictures_of_one_name_are_refused(
    predictor: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(predictor, photos / "a.png", photos / "deep/a.png", out=tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "would both become a.png; give their common folder, or run them apart" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ("gone.jpg", "expected a picture, a folder or a pattern, found nothing there"),
        (".", "no picture among ."),
    ],
)
def test_nothing_to_label(
    predictor: Path,
    tmp_path: Path,
    picture: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert predict(predictor, picture, out=tmp_path / "out") == 1
    assert said in capsys.readouterr().err


def test_a_folder_that_is_no_predictor(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(photos, photos, out=tmp_path / "out") == 1
    assert "expected the folder of a predictor with predictor.json" in capsys.readouterr().err


def test_a_large_picture_is_cut_and_said(
    predictor: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (150, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    with caplog.at_level("INFO"):
        assert predict(predictor, tmp_path / "large.png", "--tile", "64", out=tmp_path / "out") == 0
    assert f"{tmp_path / 'large.png'}: 200 x 150 pixels, in 12 tiles" in caplog.messages
    assert any("the training images were 48" in said and "--long-side" in said for said in caplog.messages)
    assert read_mask(tmp_path / "out/large.png").shape == (150, 200)


def test_a_picture_above_the_limit_is_named(
    predictor: Path, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert predict(predictor, photos / "a.png", "--largest-image", "100", out=tmp_path / "out") == 1
    assert any("expected at most 100 pixels, found 52x40 = 2080" in said for said in caplog.messages)


def test_a_killed_command_goes_on(predictor: Path, photos: Path, tmp_path: Path) -> None:
    """Whenever it is killed, no label map is cut, and the same command ends in the same bytes."""
    for number in range(20):
        (photos / f"c{number}.png").write_bytes((photos / "a.png").read_bytes())
    whole, out = tmp_path / "whole", tmp_path / "out"
    predict(predictor, photos, out=whole)
    command = [sys.executable, "-m", "wsss.cli", "predict", str(predictor), str(photos), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while process.poll() is None and len(list(out.glob("c*.png"))) < 3:
        time.sleep(0.01)
    process.kill()
    process.wait()
    for path in out.glob("*.png"):
        assert path.read_bytes() == (whole / path.name).read_bytes()
    assert predict(predictor, photos, out=out) == 0
    labels = {name for name in files(whole) if name.endswith(".png")}
    assert {name: (out / name).read_bytes() for name in labels} == {
        name: (whole / name).read_bytes() for name in labels
    }


def test_nothing_but_the_predictor_is_imported(predictor: Path, photos: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from wsss.cli import main; "
        f"main(['predict', {str(predictor)!r}, {str(photos)!r}, '--out', {str(tmp_path / 'out')!r}]); "
        "print([name for name in ('snakemake', 'mmseg', 'mmengine', 'torch._dynamo', 'pandas', 'matplotlib') "
        "if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "[]", result.stderr
