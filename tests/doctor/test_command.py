"""``wsss doctor`` as it is typed."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.tools import only_tools
from wsss.cli import main
from wsss.config.reading import read_config


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder on a machine without GPU and cluster."""
    only_tools(monkeypatch, tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    status = main(["doctor", *map(str, arguments)])
    return status, capsys.readouterr().out


def test_the_sample_needs_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = report(capsys, "sample")
    assert status == 0, text
    lines = text.splitlines()
    assert all(line.split()[0] in {"ok", "warning", "->"} for line in lines[:-1])
    assert lines[-1].split(", ")[1] == "0 errors"
    for subject in (
        "packages: Python",
        "GPU",
        "config",
        "sample: data",
        "weights: package:",
        "disk",
        "cluster",
    ):
        assert f" {subject}" in text
    assert "voc" not in text


def test_what_is_not_there_is_no_error_unless_it_is_wanted(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = report(capsys)
    assert status == 0 and "warning  voc: data: not here: data/VOC2012" in text
    status, text = report(capsys, "voc")
    assert status == 1 and "error    voc: missing folder: data/VOC2012/JPEGImages" in text
    assert "error    weights: weights/Conformer_small_patch16.pth: expected a file" in text
    (place / "mine.yaml").write_text("datasets: {voc: {runs: [0]}}\n")
    assert report(capsys, "--config", "mine.yaml")[0] == 1


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ("methods: {adcam: {stpes: 3}}", "methods.adcam.stpes: unknown key; did you mean 'steps'?"),
        ("datasets: {sample: {main: {classifier: resnet50}}}", "'adcam_n020' needs attention"),
        ("datasets: [sample]", "datasets: expected keys and values, found"),
        ("datasets: {", "cannot be read as YAML"),
        ("- sample", "expected keys and values, found list"),
        (None, "mine.yaml: cannot be read"),
    ],
)
def test_a_wrong_config_is_one_error(
    place: Path, capsys: pytest.CaptureFixture[str], overlay: str | None, said: str
) -> None:
    if overlay is not None:
        (place / "mine.yaml").write_text(overlay)
    status, text = report(capsys, "--config", "mine.yaml")
    assert status == 1
    (line,) = [line for line in text.splitlines() if line.startswith("error")]
    assert line.startswith("error    config: ") and said in line


def test_an_unknown_data_set(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = report(capsys, "vok")
    assert status == 1 and "no data set is called vok" in text and "-> take of sample, voc, coco" in text


def test_an_own_data_set_is_checked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voc = read_config([])["datasets"]["voc"]
    mine = {
        "kind": "folder",
        "root": "mine",
        "images": "images",
        "labels": "labels.csv",
        "masks": None,
        "classes": None,
    }
    cut = {
        "shards": 2,
        "val_shards": 1,
        "runs": [0],
        "inferences": ["single"],
        "main": {**voc["main"], "inference": "single"},
    }
    (place / "mine.yaml").write_text(yaml.safe_dump({"datasets": {"mine": {**mine, **cut}}}))
    status, text = report(capsys, "--config", "mine.yaml", "mine")
    assert status == 1 and "error    mine: missing folder: mine/images" in text


def test_it_answers_without_torch(place: Path) -> None:
    code = "import sys; from wsss.cli import main; main(['doctor']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
