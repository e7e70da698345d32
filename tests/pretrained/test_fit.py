"""Whether files of initial weights are of the networks that start from them, told before anything trains."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.support.networks import build_backbone
from tests.support.settings import CONFIG
from wsss.pretrained import fit, meta_loading
from wsss.pretrained.files import PACKAGED, starts
from wsss.pretrained.fit import SECTIONS, Fits
from wsss.pretrained.meta_loading import STARTING, misfit

SEEN = {"supervision": "photographs", "pixel_labels": False}
THIN = {"model": "resnet18", "arguments": {"channels": [8, 16, 24, 32]}}
VIT = {
    "model": "vit_tiny_patch16_224",
    "arguments": {"depth": 1, "embed_dim": 16, "num_heads": 2, "img_size": 32},
}
COLOURS = {"mean": [0.5] * 3, "std": [0.5] * 3}


def variant(network: dict[str, Any], file: str) -> dict[str, Any]:
    return {"network": network, "initial": {"file": file, "sha256": None, **SEEN}}


def backbone(**changes: Any) -> dict[str, Any]:
    return {"backbone": {**THIN, **changes}, **COLOURS}


APC = {**VIT, **COLOURS, "blocks": [1], "lstm": 4, "dropout": 0.0, "decoder": 8, "native_side": 32}
PAIR = {
    "kind": "pair",
    "cnn": {**THIN, "output_stride": 16},
    "vit": {**VIT, **COLOURS, "learns": False},
    **COLOURS,
}


@pytest.fixture
def config() -> dict[str, dict[str, Any]]:
    """One variant of each kind, whose files are there, of those networks and whole."""
    pair = {part: {"file": f"{part}.safetensors", "sha256": None, **SEEN} for part in ("cnn", "vit")}
    return {
        "classifiers": {
            "pair": {"network": PAIR, "initial": pair},
            "vit": variant({"kind": "timm", **VIT, **COLOURS}, "vit.safetensors"),
        },
        "refiners": {"thin": variant(backbone(), "cnn.pth"), "none": {"pseudo": {"threshold": 0.3}}},
        "segmenters": {"thin": variant(backbone(output_stride=8), "cnn.safetensors")},
        "single_stage": {"vit": {"kind": "apc", **variant(APC, "vit.safetensors")}},
    }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with files of a thin residual network and of a small transformer."""
    monkeypatch.chdir(tmp_path)
    cnn = build_backbone(THIN).model
    save(cnn, "cnn.safetensors")
    torch.save({"state_dict": cnn.state_dict()}, "cnn.pth")
    save(STARTING["single_stage"]({"kind": "apc", "network": APC}), "vit.safetensors")
    return tmp_path


def save(network: nn.Module, name: str) -> None:
    save_file(network.state_dict(), name)


def answers(config: Mapping[str, Any]) -> dict[str, str | None]:
    fits = Fits(config)
    return {
        f"{section}.{name}": fits.misfit(section, name)
        for section in SECTIONS
        for name, settings in config[section].items()
        if "initial" in settings
    }


@pytest.fixture
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on no process is started."""

    def forbid() -> None:
        monkeypatch.setattr(fit, "_ask", lambda variants: pytest.fail(f"asked for {variants}"))

    return forbid


def test_weights_of_the_networks_fit_and_that_is_remembered(
    place: Path, config: dict[str, Any], nobody_is_asked: Callable[[], None]
) -> None:
    assert set(answers(config).values()) == {None}
    nobody_is_asked()
    assert set(answers(config).values()) == {None}
    assert len(list((place / fit.MEMORY).iterdir())) == 5


def test_weights_of_other_networks_are_named_with_file_tensors_and_shapes(
    place: Path, config: dict[str, Any]
) -> None:
    config["classifiers"]["pair"]["initial"]["vit"]["file"] = "cnn.safetensors"
    config["classifiers"]["vit"]["network"]["arguments"] = {**VIT["arguments"], "img_size": 64}
    config["refiners"]["thin"]["network"] = backbone(model="resnet10t")
    config["segmenters"]["thin"]["network"] = backbone(arguments={})
    config["single_stage"]["vit"]["network"] = {**APC, "arguments": {**VIT["arguments"], "depth": 2}}
    found = answers(config)
    assert "cnn.safetensors: the weights do not fit VisionTransformer: missing" in found["classifiers.pair"]
    assert "pos_embed: expected (1, 17, 16), found (1, 5, 16)" in found["classifiers.vit"]
    assert found["refiners.thin"].startswith("cnn.pth: the weights do not fit ResNet: missing conv1.")
    assert "layer1.0.conv1.weight: expected (64, 64, 3, 3), found (8, 64, 3, 3)" in found["segmenters.thin"]
    assert "missing blocks.1." in found["single_stage.vit"] and "unexpected none" in found["single_stage.vit"]
    assert all("\n" not in text and len(text) < 700 for text in found.values())


def test_what_is_there_anew_is_asked_for_anew(place: Path, config: dict[str, Any]) -> None:
    assert answers(config)["segmenters.thin"] is None
    save(
        build_backbone({"model": "resnet18", "arguments": {"channels": [8, 16, 24, 64]}}).model,
        "cnn.safetensors",
    )
    assert "found (64, 24, 3, 3)" in str(answers(config)["segmenters.thin"])


def test_a_network_that_cannot_be_built_is_said(config: dict[str, Any]) -> None:
    config["segmenters"]["thin"]["network"] = backbone(caffe_style=True)
    assert "the network cannot be built: caffe_style needs a residual network of bottleneck" in str(
        misfit("segmenters", config["segmenters"]["thin"])
    )


def test_files_that_are_missing_are_others_business(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert misfit("single_stage", config["single_stage"]["vit"]) is None
    assert set(answers(config).values()) == {None}


def test_where_torch_fails_the_training_will_tell(
    place: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit.sys, "executable", "/bin/false")
    assert set(answers(config).values()) == {None}
    assert not (place / fit.MEMORY).exists()


def shipped() -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        f"{section}.{name}": (section, settings)
        for section in SECTIONS
        for name, settings in CONFIG[section].items()
        if "initial" in settings
        for start in starts(settings)
        if str(start.initial.get("file")).startswith(PACKAGED)
    }


def test_shipped_files_say_themselves_what_they_fit(nobody_is_asked: Callable[[], None]) -> None:
    nobody_is_asked()
    fits = Fits(CONFIG)
    assert len(shipped()) > 10
    assert [key for key in shipped() if fits.misfit(*key.split("."))] == []
    assert [
        key for key, (section, settings) in shipped().items() if meta_loading.misfit(section, settings)
    ] == []


def test_a_shipped_file_for_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = {section: {} for section in SECTIONS}
    config["segmenters"]["mine"] = copy.deepcopy(CONFIG["segmenters"]["deeplab_nano"])
    config["segmenters"]["mine"]["network"]["backbone"]["arguments"] = {}
    found = str(Fits(config).misfit("segmenters", "mine"))
    assert "resnet18_thin.safetensors: the weights do not fit ResNet" in found
