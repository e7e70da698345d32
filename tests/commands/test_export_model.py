"""``wsss export model``: the command, what it says and how it ends."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.builders import Data, make_data
from tests.support.predictors import KINDS, make_predictor
from wsss.cli import main
from wsss.commands.export_model import MODEL
from wsss.model_formats import registry
from wsss.model_formats.registry import FORMS


@pytest.fixture(autouse=True)
def _without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the command hides it from this process, too


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path)


@pytest.fixture
def predictor(data: Data) -> Path:
    return make_predictor(data, "segmenter")


def export(predictor: Path, out: Path, *options: str, form: str = "torchscript") -> int:
    return main(["export", "model", str(predictor), "--to", form, "--out", str(out), *options])


def test_the_command_offers_every_form() -> None:
    assert tuple(FORMS) == MODEL.forms  # which it knows before the forms are imported


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_export_says_what_it_wrote_and_how_it_compares(
    data: Data, kind: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = data.path(f"model{FORMS[form].suffix}")
    pictures = [record.image for record in data.records[:3]]
    assert export(make_predictor(data, kind), out, "--check", *pictures, form=form) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{out}: {FORMS[form].title}, ") and out.is_file()
    assert said[1].startswith("input: images: uint8 (batch, height, width, 3)")
    assert said[3] == 'classes: ["background", "cat", "dog", "owl"]'
    assert said[5].startswith("compared on random pictures: of 7 pictures probabilities differ by at most ")
    assert said[6].startswith("compared on given pictures: of 3 pictures ") and len(said) == 7


def test_a_file_that_is_there_is_kept(
    data: Data, predictor: Path, capsys: pytest.CaptureFixture[str], quoted: Callable[[str], None]
) -> None:
    out = data.path("model.pt")
    out.write_text("mine")
    assert export(predictor, out) == 1
    quoted(capsys.readouterr().err)
    assert out.read_text() == "mine"
    assert export(predictor, out, "--overwrite") == 0
    assert out.stat().st_size > 1000


def test_an_export_that_differs_is_not_written(
    data: Data,
    predictor: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    quoted: Callable[[str], None],
) -> None:
    form = FORMS["torchscript"]
    wrong = replace(form, load=lambda path: lambda images: form.load(path)(images[:, ::-1].copy()))
    monkeypatch.setitem(registry.FORMS, "torchscript", wrong)
    before = set(data.folder.iterdir())
    assert export(predictor, data.path("model.pt")) == 1
    quoted(capsys.readouterr().err)
    assert set(data.folder.iterdir()) == before
    assert export(predictor, data.path("model.pt"), "--tolerance", "1") == 0


def test_missing_packages_are_named(
    data: Data,
    predictor: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    quoted: Callable[[str], None],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert export(predictor, data.path("model.onnx"), form="onnx") == 1
    said = capsys.readouterr().err
    quoted(said)
    assert "found no onnxruntime; install them (the extra `onnx`" in said
    assert not data.path("model.onnx").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"out": "model.pb"}, "model.pb: expected a name that ends in .pt for TorchScript"),
        ({"out": "."}, "expected a name that ends in .pt"),
        ({"predictor": "nothing"}, "nothing: expected the folder of a predictor"),
        ({"check": "no.jpg"}, "no.jpg"),
    ],
)
def test_what_was_given_wrong_is_named(
    data: Data,
    predictor: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    said: str,
) -> None:
    monkeypatch.chdir(data.folder)
    check = ["--check", change["check"]] if "check" in change else []
    found = export(Path(change.get("predictor", predictor)), Path(change.get("out", "model.pt")), *check)
    captured = capsys.readouterr().err
    assert found == 1 and said in captured and captured.count("\n") == 1


def test_a_tolerance_that_is_no_probability_is_refused(predictor: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        export(predictor, Path("model.pt"), "--tolerance", "2")
    assert stopped.value.code == 2
