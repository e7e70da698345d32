"""The code and the settings that docs/architecture.md shows do what they say."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.settings import ROOT
from tests.support.tiny_run import run
from wsss.artefacts.formats import Manifest, write_manifest, write_tensors
from wsss.config.reading import read_config
from wsss.models.colours import with_colours
from wsss.models.deeplabv2 import build_segmenter
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
    (weights,) = re.findall('weights = "(.+)"', code)
    (manifest,) = re.findall('read_manifest\\("(.+)"\\)', code)
    data = Manifest("sample", ("cat", "dog"), ())
    write_manifest(manifest, data)
    settings = read_config([ROOT / "tests/configs/tiny.yaml"])["segmenters"]["deeplab_tiny"]["network"]
    network = build_segmenter(settings, 3)
    write_tensors(weights, "weights", network.state_dict(), {"classes": data.classes, "network": settings})
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save("picture.png")
    found: dict[str, object] = {}
    exec(compile(code, "architecture.md", "exec"), found)
    probabilities, labels = found["probabilities"], found["labels"]
    assert isinstance(probabilities, torch.Tensor) and isinstance(labels, torch.Tensor)
    assert probabilities.shape == (3, 48, 64) and labels.shape == (48, 64)
    assert set(found["names"]) <= {"background", "cat", "dog"}  # type: ignore[call-overload]


def test_irnet_has_the_backbone_of_the_settings(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(block("8. How do I change IRNet's backbone?", "yaml"))
    network = with_colours(read_config([overlay])["refiners"]["irn_convnext"]["network"])
    irnet = build_irnet(network).eval()
    assert irnet.backbone.channels == [96, 192, 384, 768] and len(network["mean"]) == 3
    with torch.inference_mode():
        assert irnet(torch.zeros(1, 3, 64, 96)).edge.shape == (1, 1, 16, 24)


def test_a_target_leads_to_its_rule(tmp_path: Path) -> None:
    (target,) = set(re.findall(r"`snakemake --cores 1 (\S+)`", DOCUMENT))
    planned = run(ROOT, tmp_path, "-n", "--cores", "1", "--quiet", "rules", "--", target)
    rules = set(re.findall(r"(?m)^(\w+) +1$", planned))
    assert rules == {"generate_sample", "prepare_manifest", "train_classifier", "extract_maps"}
