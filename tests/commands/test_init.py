"""``wsss init``: from a folder of pictures to a file of settings, as it is typed."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.pictures import own_pictures
from tests.support.settings import ROOT
from tests.support.tools import only_tools, put_tool
from wsss.artefacts.formats import read_manifest
from wsss.cli import main
from wsss.config.datasets import data_of
from wsss.config.reading import read_config
from wsss.stages.data import prepare_manifest


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder outside the checkout, on a machine without GPU."""
    only_tools(monkeypatch, tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["init", *arguments])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def line(text: str, beginning: str) -> str:
    (found,) = [one for one in text.splitlines() if one.startswith(beginning)]
    return found


def test_pictures_and_a_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_pictures(place, 12)
    status, text = init(capsys, "pets", "--images", "images", "--labels", "labels.csv")
    assert status == 0, text
    assert line(text, "images: ").startswith("images: 12 in images, ")
    assert line(text, "classes: ") == "classes: lurin 3, moke 3, pell 3, siskar 2, tavel 3"
    assert line(text, "splits: ") == "splits: train 12"
    assert line(text, "masks: ") == "masks: none, and nothing to score the result on"
    assert line(text, "GPU: ") == "GPU: none found; the settings are for a CPU"
    assert "odd: few training images of " in text
    written = (place / "pets.yaml").read_text()
    assert written in text and len(written.splitlines()) <= 10
    pets = read_config([Path("pets.yaml")])["datasets"]["pets"]
    assert (pets["images"], pets["labels"], pets["masks"]) == ("images", "labels.csv", None)
    assert (pets["shards"], pets["val_shards"], pets["runs"]) == (1, 1, [0])
    assert pets["main"]["classifier"] == "conformer_nano_few"


def test_what_it_says_is_what_the_run_will_find(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_pictures(place, 15, masks=True)
    status, text = init(capsys, "pets", "--images", "images", "--labels", "labels.csv", "--masks", "masks")
    assert status == 0, text
    settings = read_config([Path("pets.yaml")])["datasets"]["pets"]
    prepare_manifest.run(manifest="manifest.jsonl", dataset="pets", settings=data_of(settings))
    manifest = read_manifest("manifest.jsonl")
    assert line(text, "splits: ").startswith("splits: train 12, val 3; none were given: ")
    assert (len(manifest.split("train")), len(manifest.split("val"))) == (12, 3)
    assert [record.id for record in manifest.split("val")] == Path("pets.val.txt").read_text().split()


def test_photographs_of_12_megapixels(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_pictures(place, 4, enlarged=48)
    status, text = init(capsys, "pets", "--images", "images", "--labels", "labels.csv")
    assert status == 0, text
    said = "; larger ones are read at 640 pixels of the longer side (long_side)"
    assert line(text, "images: ").endswith(said)
    assert len((place / "pets.yaml").read_text().splitlines()) <= 10
    pets = read_config([Path("pets.yaml")])["datasets"]["pets"]
    assert pets["long_side"] == 640 and pets["main"]["classifier"] == "own_few"
    main(["doctor", "pets"])
    assert "pets: views" not in capsys.readouterr().out


def test_a_split_that_is_given_is_kept(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_pictures(place, 10, masks=True)
    rows = Path("labels.csv").read_text().splitlines()[1:]
    cut = [
        f"{name},{'val' if number < 2 else 'train'},{names}"
        for number, (name, _, names) in enumerate(row.partition(",") for row in rows)
    ]
    Path("labels.csv").write_text("\n".join(["id,split,class,class", *cut]) + "\n")
    status, text = init(capsys, "pets", "--images", "images", "--labels", "labels.csv", "--masks", "masks")
    assert (status, line(text, "splits: ")) == (0, "splits: train 8, val 2")
    assert sorted(path.name for path in place.glob("pets*")) == ["pets.yaml"]


def test_a_folder_a_class(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_pictures(place, 10, in_folders=True, enlarged=3)
    status, text = init(capsys, "pets", "--images", "images")
    assert status == 0, text
    pets = read_config([Path("pets.yaml")])["datasets"]["pets"]
    assert (pets["labels"], pets["main"]["classifier"]) == (None, "own_few")


def test_a_gpu_is_named_and_may_be_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_pictures(place, 10, masks=True)
    put_tool(place / "bin", "nvidia-smi", {"query-gpu=name": "NVIDIA H100"})
    arguments = ("--images", "images", "--labels", "labels.csv", "--masks", "masks")
    _, text = init(capsys, "one", *arguments)
    assert line(text, "GPU: ") == "GPU: NVIDIA H100; the settings are for one"
    assert read_config([Path("one.yaml")])["datasets"]["one"]["runs"] == [0, 1, 2]
    init(capsys, "other", *arguments, "--gpu", "no")
    assert read_config([Path("other.yaml")])["datasets"]["other"]["runs"] == [0]


def test_nothing_is_overwritten(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_pictures(place, 10, masks=True)
    Path("pets.val.txt").write_text("mine")
    status, text = init(capsys, "pets", "--images", "images", "--labels", "labels.csv", "--masks", "masks")
    assert status == 1 and "pets.val.txt: already there" in text
    assert sorted(path.name for path in place.glob("pets*")) == ["pets.val.txt"]


def test_data_that_cannot_be_used_are_not_written_down(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_pictures(place, 4)
    next(place.glob("images/*.jpg")).write_bytes(b"no image")
    Path("labels.csv").write_text(Path("labels.csv").read_text() + "000,lurin\n")
    status, text = init(capsys, "pets", "--images", "images", "--labels", "labels.csv")
    assert status == 1 and "nothing was written" in text
    assert "duplicate id: '000'" in text and "unreadable image: " in text
    assert not Path("pets.yaml").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("voc", "config.yaml has a data set of this name"),
        ("my-pets", "expected text that matches"),
        ("logs", "expected another name, a folder of the results has this one"),
    ],
)
def test_names_that_cannot_be_had(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    own_pictures(place, 4)
    status, text = init(capsys, name, "--images", "images", "--labels", "labels.csv")
    assert status == 1 and said in text, text
    assert not list(place.glob("*.yaml"))


def test_the_command_that_it_prints_works_as_it_stands(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a folder outside the clone; planning is enough."""
    own_pictures(place, 12)
    _, text = init(capsys, "pets", "--images", "images", "--labels", "labels.csv")
    words = shlex.split(text.splitlines()[-1])
    assert words[-2:] == ["results/pets/predictor", "results/pets/examples.png"]
    planned = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *words[1:-2], words[-1]],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert words[0].endswith("snakemake")
    assert planned.returncode == 0 and "train_segmenter" in planned.stdout, planned.stdout + planned.stderr


def test_its_file_is_found_by_the_name_of_the_data_set(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own_pictures(place, 12)
    init(capsys, "pets", "--images", "images", "--labels", "labels.csv")
    assert main(["config", "pets"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["datasets"]["pets"]["shards"] == 1
    assert main(["doctor", "pets"]) == 0
    text = capsys.readouterr().out
    assert (
        "pets: runs: main chain conformer_nano_few, adcam_n020, irn_nano_few, deeplab_nano, nano_crf" in text
    )
    assert "can be had: results/pets/predictor, results/pets/examples.png" in text
