"""``wsss export labels``: the command, its help, what it says and how it ends."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import label_sources
from tests.support.label_sources import TINY, scenes
from wsss.cli import main
from wsss.commands.export_labels import LABELS
from wsss.label_formats.registry import FORMS


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """What the command sets up for its log is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level


def test_the_command_offers_every_form() -> None:
    assert tuple(FORMS) == LABELS.forms  # which it knows before the forms are imported


@pytest.mark.parametrize("name", FORMS)
def test_an_export_says_what_it_wrote_and_what_void_became(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = label_sources.run(tmp_path, scenes())
    out = tmp_path / f"out{FORMS[name].suffix}"
    assert main(["export", "labels", str(source), "--to", name, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(
        f"{out}: labels of 6 images, {FORMS[name].title}\nvoid (255): {FORMS[name].void}\n"
    )
    assert (f"pictures are named from {tmp_path / 'pictures'}" in said) == FORMS[name].needs_pictures
    assert out.exists()


def test_a_log_has_plain_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = label_sources.run(tmp_path, scenes())
    with caplog.at_level(logging.INFO):
        main(["export", "labels", str(source), "--to", "voc", "--out", str(tmp_path / "voc")])
    lines = [record.getMessage() for record in caplog.records]
    assert lines and lines[-1].startswith("exporting to voc: 6 of 6, ")


def test_what_is_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = label_sources.prediction(tmp_path / "out", {"a": TINY})
    label_sources.pictures(tmp_path, {"shown": TINY})
    (tmp_path / "shown.jpg").rename(folder / "shown.png")
    assert main(["export", "labels", str(folder), "--to", "voc", "--out", str(tmp_path / "voc")]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"left out, being no label maps: 1 PNGs, such as {folder / 'shown.png'}"


def test_options_reach_their_form(tmp_path: Path) -> None:
    source = label_sources.run(tmp_path, scenes())
    command = ["export", "labels", str(source), "--out"]
    assert main([*command, str(tmp_path / "voc"), "--to", "voc", "--link-images"]) == 0
    assert (tmp_path / "voc/JPEGImages/tiny.jpg").is_symlink()
    assert main([*command, str(tmp_path / "ls"), "--to", "labelstudio", "--image-url", "s3://mine/"]) == 0
    assert json.loads((tmp_path / "ls/tasks.json").read_text())[0]["data"]["image"] == "s3://mine/tiny.jpg"
    corners = {}
    for tolerance in ("0", "2"):
        out = tmp_path / f"labelme{tolerance}"
        assert main([*command, str(out), "--to", "labelme", "--tolerance", tolerance]) == 0
        shapes = json.loads((out / "img 0.json").read_text())["shapes"]
        corners[tolerance] = sum(len(shape["points"]) for shape in shapes)
    assert corners["2"] < corners["0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "voc", "--tolerance", "2"], "--tolerance: --to voc has no use for it; leave it out"),
        (["--to", "coco", "--link-images"], "--link-images: --to coco has no use for it; leave it out"),
        (["--to", "cvat", "--image-url", "a/"], "--image-url: --to cvat has no use for it; leave it out"),
        (["--to", "coco"], "expected a name that ends in .json"),
        (["--to", "voc", "--manifest", "none.jsonl"], "none.jsonl: no such file"),
    ],
)
def test_errors_are_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    source = label_sources.run(tmp_path, scenes())
    assert main(["export", "labels", str(source), "--out", str(tmp_path / "out"), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("wsss: ") and said in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf", "much"])
def test_a_tolerance_that_is_no_number_of_pixels_is_status_2(tolerance: str) -> None:
    command = ["export", "labels", "a", "--to", "labelme", "--out", "b"]
    with pytest.raises(SystemExit) as ended:
        main([*command, f"--tolerance={tolerance}"])
    assert ended.value.code == 2


def test_a_broken_label_map_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quoted: Callable[[str], None]
) -> None:
    source = label_sources.run(tmp_path, scenes())
    path = source / "000of002" / "tiny.png"
    path.write_bytes(path.read_bytes()[:90])
    assert main(["export", "labels", str(source), "--to", "cvat", "--out", str(tmp_path / "a.zip")]) == 1
    said = capsys.readouterr().err
    quoted(said)
    assert str(path) in said and not (tmp_path / "a.zip").exists()


def test_labels_of_an_unfinished_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quoted: Callable[[str], None]
) -> None:
    source = label_sources.run(tmp_path, scenes())
    (source / "001of002.jsonl").unlink()
    assert main(["export", "labels", str(source), "--to", "voc", "--out", str(tmp_path / "voc")]) == 1
    quoted(capsys.readouterr().err)


def test_an_export_that_is_there_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quoted: Callable[[str], None]
) -> None:
    source = label_sources.run(tmp_path, scenes())
    command = ["export", "labels", str(source), "--to", "voc", "--out", str(tmp_path / "voc")]
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 1
    quoted(capsys.readouterr().err)
    assert main([*command, "--overwrite"]) == 0


def test_help_explains_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "labels", "--help"])
    text = capsys.readouterr().out
    assert "pseudo labels of the training images" in text and "255" in text
    assert all(name in text for name in FORMS)
