"""Initial weights from files, from timm and from nowhere."""

import argparse
import datetime
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tests.support.networks import build_classifier, build_pair, load_initial
from tests.support.settings import CONFIG
from wsss.artefacts.files import digest
from wsss.artefacts.formats import open_tensors
from wsss.config.configuration import Pretraining
from wsss.config.networks import Backbone
from wsss.models.backbone_classifier import BackboneClassifier
from wsss.models.cnn_classifier import CnnClassifier
from wsss.models.conformer import Conformer, conformer_nano
from wsss.models.pair import Pair
from wsss.models.timm_classifier import TimmClassifier
from wsss.pretrained.files import DATA
from wsss.pretrained.initial_weights import convert, read_state
from wsss.pretrained.state_dicts import WeightsError

PRETRAINING = CONFIG["pretraining"]
SEEN = {"supervision": "ImageNet-1k image labels", "pixel_labels": False}
LITE = Path(__file__).parents[3] / "shared" / "weights" / "tf_efficientnet_lite0.safetensors"
TINY_VIT = {"depth": 1, "embed_dim": 16, "num_heads": 2, "img_size": 32}


@pytest.fixture
def source() -> Conformer:
    return conformer_nano(10)


def _same_body(one: Conformer, other: Conformer) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for (key, a), b in pairs if "cls_head" not in key)


@pytest.mark.parametrize("container", [None, "model", "state_dict"])
def test_pth(tmp_path: Path, source: Conformer, container: str | None) -> None:
    path = tmp_path / "weights.pth"
    state = source.state_dict()
    torch.save(state if container is None else {container: state, "args": argparse.Namespace(lr=0.1)}, path)
    target = conformer_nano(3)
    provenance = load_initial(target, {"file": str(path), "sha256": digest(path), **SEEN})
    assert _same_body(source, target)
    assert provenance == {"file": path.as_posix(), "sha256": digest(path), **SEEN}


def test_safetensors_of_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    theirs = timm.create_model("vit_tiny_patch16_224", **TINY_VIT)
    save_file({key: value.half() for key, value in theirs.state_dict().items()}, path)
    model = TimmClassifier("vit_tiny_patch16_224", 2, TINY_VIT)
    load_initial(model, {"file": str(path), "sha256": None, **SEEN})
    assert model.backbone.cls_token.dtype == torch.float32
    expected = theirs.blocks[0].mlp.fc1.weight.half().float()
    assert torch.equal(model.backbone.blocks[0].mlp.fc1.weight, expected)


def test_convert_keeps_the_tensors(tmp_path: Path, source: Conformer) -> None:
    torch.save({"model": source.state_dict()}, tmp_path / "weights.pth")
    convert(tmp_path / "weights.pth", tmp_path / "weights.safetensors")
    converted = load_file(tmp_path / "weights.safetensors")
    assert converted.keys() == source.state_dict().keys()
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in converted.items())


def test_another_digest_is_refused(tmp_path: Path, source: Conformer) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), path)
    with pytest.raises(WeightsError, match=f"expected sha256 {'0' * 64}, found {digest(path)}"):
        load_initial(source, {"file": str(path), "sha256": "0" * 64, **SEEN})


def test_a_missing_file_is_named(source: Conformer) -> None:
    with pytest.raises(WeightsError, match=r"weights/absent\.pth: expected a file"):
        load_initial(source, {"file": "weights/absent.pth", "sha256": None, **SEEN})


@pytest.mark.parametrize("name", ["damaged.pth", "damaged.safetensors"])
def test_a_damaged_file_is_named(tmp_path: Path, source: Conformer, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match=f"{name}: expected weights as safetensors or plain tensors"):
        load_initial(source, {"file": str(tmp_path / name), **SEEN})


def test_a_truncated_file_is_named(tmp_path: Path, source: Conformer) -> None:
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"weights\.pth: expected weights"):
        load_initial(source, {"file": str(path), **SEEN})


def test_objects_in_a_pickle_are_never_built(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"when": datetime.timedelta(1)}, path)
    with pytest.raises(WeightsError, match="expected weights as safetensors or plain tensors"):
        read_state(path)


def test_weights_of_another_network_name_the_file(tmp_path: Path, source: Conformer) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"stray": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"other\.safetensors: the weights do not fit Conformer: missing"):
        load_initial(source, {"file": str(path), **SEEN})


def test_random_numbers_stay(source: Conformer) -> None:
    before = source.conv1.weight.clone()
    assert load_initial(source, SEEN) == SEEN
    assert torch.equal(source.conv1.weight, before)


def test_pixel_labels_are_handed_on(source: Conformer) -> None:
    assert load_initial(source, {**SEEN, "pixel_labels": True})["pixel_labels"] is True


def test_timms_own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TimmClassifier("vit_tiny_patch16_224.augreg_in21k", 2, TINY_VIT)
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=0, **TINY_VIT)
    asked = []

    def create(name: str, **options: object) -> torch.nn.Module:
        asked.append((name, options))
        return theirs

    monkeypatch.setattr("wsss.pretrained.initial_weights.timm.create_model", create)
    provenance = load_initial(model, {"timm": True, **SEEN})
    assert asked == [("vit_tiny_patch16_224.augreg_in21k", {"pretrained": True, "num_classes": 0})]
    assert provenance == {"timm": "vit_tiny_patch16_224.augreg_in21k", **SEEN}
    assert torch.equal(model.backbone.pos_embed, theirs.pos_embed)


def test_no_way_to_timms_weights_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str, **options: object) -> torch.nn.Module:
        raise FileNotFoundError("no connection")

    model = TimmClassifier("vit_tiny_patch16_224", 2, TINY_VIT)
    monkeypatch.setattr("wsss.pretrained.initial_weights.timm.create_model", create)
    with pytest.raises(WeightsError, match=r"no connection\. Without a network give 'file' and 'sha256'"):
        load_initial(model, {"timm": True, **SEEN})


@pytest.mark.parametrize("name", PRETRAINING)
def test_a_shipped_file_is_what_the_configuration_describes_and_loads(name: str) -> None:
    settings = PRETRAINING[name]
    path = DATA / "pretrained" / f"{name}.safetensors"
    with open_tensors(path, "weights") as shipped:
        made = {key: value for key, value in shipped.params.items() if key != "seed"}
        assert Pretraining.model_validate(made).model_dump() == settings
        assert shipped.params["seed"] == settings["images"]["seed"]
    network = settings["network"]
    bare = "backbone" in network
    model = BackboneClassifier(Backbone(**network["backbone"]), 2) if bare else build_classifier(network, 2)
    provenance = load_initial(model, {"file": f"package:pretrained/{name}.safetensors", **SEEN})
    assert provenance["sha256"] == digest(path)


def test_the_shipped_files_are_small() -> None:
    assert sum(path.stat().st_size for path in (DATA / "pretrained").iterdir()) < 8e6


def _pair() -> Pair:
    colours = {"mean": [0.5] * 3, "std": [0.5] * 3}
    vit = {"model": "vit_tiny_patch16_224", "arguments": TINY_VIT, "learns": False, **colours}
    cnn = {"model": "resnet18", "arguments": {"channels": [8, 8, 8, 8]}}
    return build_pair({"cnn": cnn, "vit": vit, **colours}, 2)


def test_each_network_of_a_pair_has_its_own_file(tmp_path: Path) -> None:
    source, target = _pair(), _pair()
    for part, network in (("cnn", source.cnn.backbone), ("vit", source.vit)):
        save_file(network.state_dict(), tmp_path / f"{part}.safetensors")
    files = {part: {"file": str(tmp_path / f"{part}.safetensors"), "sha256": None} for part in ("cnn", "vit")}
    seen = {"cnn": SEEN, "vit": {"supervision": "text", "pixel_labels": True}}
    provenance = load_initial(target, {part: {**files[part], **seen[part]} for part in files})
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]) or name == "cnn.classifier.weight", name
    assert provenance["supervision"] == "ImageNet-1k image labels (class maps), text (attention)"
    assert provenance["pixel_labels"] is True
    assert provenance["vit"]["sha256"] == digest(tmp_path / "vit.safetensors")
    assert provenance["cnn"]["supervision"] == SEEN["supervision"]


def test_what_both_networks_of_a_pair_have_seen_is_said_once() -> None:
    assert load_initial(_pair(), {"cnn": SEEN, "vit": SEEN}) == {"cnn": SEEN, "vit": SEEN, **SEEN}


def test_a_pairs_weights_that_do_not_fit_name_their_file(tmp_path: Path) -> None:
    save_file({"stray": torch.zeros(1)}, tmp_path / "vit.safetensors")
    file = {"file": str(tmp_path / "vit.safetensors"), "sha256": None}
    with pytest.raises(WeightsError, match=r"vit\.safetensors: the weights do not fit VisionTransformer"):
        load_initial(_pair(), {"cnn": SEEN, "vit": {**file, **SEEN}})


@pytest.mark.skipif(not LITE.is_file(), reason="needs the real weights")
def test_real_weights_of_an_efficientnet_load() -> None:
    model = CnnClassifier("tf_efficientnet_lite0", 3, frozen=["conv_stem", "bn1"])
    load_initial(model, {"file": str(LITE), "sha256": None, **SEEN})
    with torch.no_grad():
        maps = model.eval()(torch.randn(1, 3, 213, 320)).class_maps
    assert maps.shape == (1, 3, 14, 20) and maps.isfinite().all()
