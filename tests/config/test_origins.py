"""Where settings come from, and the command that prints them."""

from pathlib import Path

import pytest
import yaml

from tests.support.settings import CONFIG, ROOT
from wsss.cli import main
from wsss.config.origins import origin_of, origins
from wsss.config.reading import read_config

MINE = """\
datasets:
  mine: {kind: folder, root: pictures}
classifiers:
  own:
    training:
      crop: 256
      batch: 16
  other: {extends: own, training.epochs: 9}
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def line_of(file: str, text: str) -> str:
    lines = (ROOT / file).read_text().splitlines()
    return f"{file}:{1 + next(number for number, line in enumerate(lines) if line.startswith(text))}"


def test_a_value_comes_from_the_last_file_that_has_it(overlay: Path) -> None:
    tree = origins([overlay])
    assert origin_of(tree, ("classifiers", "own", "training", "crop")) == f"{overlay}:6"
    epochs = ("classifiers", "own", "training", "epochs")
    assert origin_of(tree, epochs) == line_of("config/own.yaml", "      epochs: 6")


def test_what_a_variant_extends_is_where_its_values_were_written(overlay: Path) -> None:
    tree = origins([overlay])
    assert origin_of(tree, ("classifiers", "other", "training", "epochs")) == f"{overlay}:8"
    assert origin_of(tree, ("classifiers", "other", "training", "crop")) == f"{overlay}:6"
    rule = line_of("config/refiners.yaml", "      threshold: half_maximum # of the walked maps")
    assert origin_of(tree, ("refiners", "own", "pseudo", "threshold")) == rule


def test_lists_are_one_value_and_defaults_have_no_place(overlay: Path) -> None:
    tree = origins([overlay])
    assert origin_of(tree, ("datasets", "voc", "runs")) == line_of("config.yaml", "    runs: [0, 1, 2]")
    assert origin_of(tree, ("datasets", "mine", "runs")) is None


def test_yaml_s_own_merging_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text("inferences:\n  a: &a {scales: [1.0], mirror: true}\n  b: {<<: *a, mirror: false}\n")
    tree = origins([path])
    assert origin_of(tree, ("inferences", "b", "scales")) == f"{path}:2"
    assert origin_of(tree, ("inferences", "b", "mirror")) == f"{path}:3"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["config", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_command_prints_what_the_rules_get(overlay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = yaml.safe_load(printed(capsys, "--config", overlay, "mine"))
    config = read_config([overlay])
    assert shown["datasets"] == {"mine": config["datasets"]["mine"]}
    for section in ("classifiers", "refiners", "segmenters"):
        assert shown[section] == {"own": config[section]["own"]}
    assert set(shown["inferences"]) == {"own", "own_crf"} and set(shown["single_stage"]) == {"apc_own"}


def test_the_command_prints_what_was_changed(overlay: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--config", overlay, "--changed", "mine")
    # the batch is the preset's and written all the same
    assert yaml.safe_load(text) == {
        "datasets": {"mine": {"kind": "folder", "root": "pictures"}},
        "classifiers": {"own": {"training": {"crop": 256, "batch": 16}}},
    }
    assert f"crop: 256 # {overlay}:6" in text


def test_every_data_set_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for name in CONFIG["datasets"]:
        assert yaml.safe_load(printed(capsys, name))["datasets"][name] == CONFIG["datasets"][name]


def test_an_unknown_data_set_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "vco"]) == 1
    assert "no data set is called 'vco'; did you mean 'voc'?" in capsys.readouterr().err


def test_a_wrong_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("methods: {adcam: {stpes: 3}}")
    assert main(["config", "--config", str(path), "voc"]) == 1
    assert "methods.adcam.stpes: unknown key; did you mean 'steps'?" in capsys.readouterr().err
