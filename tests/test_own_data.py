"""The tutorial docs/own-data.md: its commands run on generated pictures, its settings resolve."""

import re
from pathlib import Path

import pytest
import yaml

from tests.support.documents import run_line
from tests.support.pictures import own_pictures
from tests.support.settings import ROOT
from tests.support.tiny_run import session_checkout
from wsss.config.reading import read_config

DOCUMENT = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", DOCUMENT)


def smallest(folder: Path) -> Path:
    """Settings laid over the tutorial's, with which its run takes a minute."""
    settings = yaml.safe_load((ROOT / "tests/configs/tiny.yaml").read_text())
    main = settings.pop("datasets")["sample"]["main"]
    shown = {"examples": {"images": ["003", "007"]}}
    settings["datasets"] = {"pets": {"main": main, "inferences": [main["inference"]], **shown}}
    path = folder / "smallest.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_every_command_of_the_page_runs(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout = session_checkout(tmp_path_factory)
    own_pictures(tmp_path / "pets", 12)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert [line.split()[0] for line in lines] == ["wsss"] * 4 + ["snakemake"] + ["wsss"] * 2
    for line in lines:
        options = [smallest(tmp_path), "--snakefile", checkout / "Snakefile"] if line[0] == "s" else []
        run_line(checkout, tmp_path, line, *options)
    assert (tmp_path / "labels.json").is_file()
    assert (tmp_path / "results/pets/examples.png").is_file()


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    own_pictures(tmp_path / "pets", 2)
    first, whole, longer = blocks("yaml")
    paths = [tmp_path / f"{number}.yaml" for number in range(3)]
    for path, text in zip(paths, (whole, first, longer), strict=True):
        path.write_text(text)
    config = read_config(paths)
    pets = config["datasets"]["pets"]
    assert pets["examples"]["images"] == ["003", "007"] and pets["main"]["classifier"] == "longer"
    assert config["classifiers"]["longer"]["training"]["epochs"] == 12
