"""The page of a comparison."""

from pathlib import Path

import pytest

from tests.support.runs import Run
from wsss.cli import main

MAPS = "run0/small/adcam/none/maps"
PSEUDO = "run0/small/adcam/none/pseudo"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    a = Run(folder / "a", miou={0: 0.5, 1: 0.52}).write()
    b = Run(folder / "b", miou={0: 0.6, 1: 0.62}, steps=4, brighter=0.125, shift=1).write()
    assert main(["diff", str(a), str(b), "--html", str(folder / "diff.html")]) == 1
    return folder / "diff.html"


def test_it_needs_nothing_else(page: Path) -> None:
    text = page.read_text()
    assert "://" not in text
    assert "src=" in text
    assert all(part.startswith('"data:') for part in text.split("src=")[1:])


def test_it_says_what_the_terminal_says(page: Path) -> None:
    text = page.read_text()
    both = f"{MAPS}, {MAPS.replace('run0', 'run1')}"
    assert f"the two part at diffuse_cams ({both}): settings: settings.steps 2 -&gt; 4" in text
    assert "larger than the noise between runs" in text or "inside the noise between runs" in text
    assert "IoU of each label between the two" in text


def test_a_page_that_cannot_be_written_is_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Run(tmp_path / "a").write()
    (tmp_path / "file").touch()
    assert main(["diff", str(data), str(data), "--html", str(tmp_path / "file" / "diff.html")]) == 2
    assert "diff.html: cannot be written" in capsys.readouterr().err


def test_images_without_a_photograph_are_shown(tmp_path: Path) -> None:
    a, b = Run(tmp_path / "a").write(), Run(tmp_path / "b", shift=1).write()
    for path in (a / "source/images").iterdir():
        path.unlink()
    main(["diff", str(a / PSEUDO), str(b / PSEUDO), "--html", str(tmp_path / "diff.html")])
    text = (tmp_path / "diff.html").read_text()
    assert text.count("<article") == 4
    assert 'class="photo"' not in text


def test_two_label_maps_have_a_picture(tmp_path: Path) -> None:
    a, b = Run(tmp_path / "a").write(), Run(tmp_path / "b", shift=1).write()
    names = [str(data / PSEUDO / "000of002/img0.png") for data in (a, b)]
    assert main(["diff", *names, "--html", str(tmp_path / "diff.html")]) == 1
    assert (tmp_path / "diff.html").read_text().count("<article") == 1
