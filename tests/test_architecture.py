"""The code and the settings that docs/architecture.md shows do what they say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.builders import make_data
from tests.support.predictors import make_predictor
from tests.support.settings import ROOT
from tests.support.tiny_run import run
from wsss.config.reading import read_config
from wsss.config.refiners import IrnNetwork
from wsss.models.colours import with_colours
from wsss.models.irnet import build_irnet

DOCUMENT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def block(heading: str, language: str) -> str:
    """The only block of a language below a heading."""
    section = re.split(r"(?m)^##+ ", DOCUMENT.split(f" {heading}\n")[1])[0]
    (found,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", section)
    return str(found)


def test_a_trained_network_labels_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = block("6. How do I use a trained network from Python?", "python")
    (folder,) = re.findall('load_predictor\\("(.+)"\\)', code)
    (tmp_path / "data").mkdir()
    Path(folder).parent.mkdir(parents=True)
    make_predictor(make_data(tmp_path / "data"), "segmenter").rename(folder)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save("picture.png")
    found: dict[str, Any] = {}
    exec(compile(code, "architecture.md", "exec"), found)
    assert found["probabilities"].shape == (4, 48, 64) and found["labels"].shape == (48, 64)
    assert found["names"] <= {"background", "cat", "dog", "owl"}


def test_irnet_has_the_backbone_of_the_settings(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(block("8. How do I change IRNet's backbone?", "yaml"))
    settings = read_config([overlay])["refiners"]["irn_convnext"]["network"]
    network = with_colours(IrnNetwork.model_validate(settings))
    irnet = build_irnet(network).eval()
    assert irnet.backbone.channels == [96, 192, 384, 768] and len(network.colours[0]) == 3
    with torch.inference_mode():
        assert irnet(torch.zeros(1, 3, 64, 96)).edge.shape == (1, 1, 16, 24)


def test_a_target_leads_to_its_rule(tmp_path: Path) -> None:
    (target,) = set(re.findall(r"`snakemake --cores 1 (\S+)`", DOCUMENT))
    planned = run(ROOT, tmp_path, "-n", "--cores", "1", "--quiet", "rules", "--", target)
    rules = set(re.findall(r"(?m)^(\w+) +1$", planned))
    assert rules == {
        "generate_sample",
        "prepare_manifest",
        "select_training",
        "train_classifier",
        "extract_maps",
    }
