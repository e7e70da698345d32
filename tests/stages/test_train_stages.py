"""The training stages on a handful of small generated images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from tests.stages.trainings import (
    CLASSIFIER_TRAINING,
    COLOURS,
    DEEPLAB,
    IRN,
    NANO,
    RANDOM,
    SEGMENTER_TRAINING,
    THIN,
    classify,
    make_labelled,
    outputs,
    refine,
    segment,
)
from wsss.artefacts import open_tensors, read_table, read_tensors, write_tensors
from wsss.files import ArtefactError, digest
from wsss.initial_weights import load_initial
from wsss.models.classifiers import build_classifier
from wsss.models.deeplabv2 import build_segmenter
from wsss.models.irnet import build_irnet
from wsss.stages import pretrain_network
from wsss.training import TrainingError


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """Five images of two classes with label maps in two shards, as arguments of a stage."""
    return make_labelled(tmp_path)


BUILD = {
    classify: lambda: build_classifier(NANO, 2),
    refine: lambda: build_irnet(IRN),
    segment: lambda: build_segmenter(DEEPLAB, 3),
}
INPUTS = {classify: {"manifest"}, refine: {"manifest", "labels"}, segment: {"manifest", "labels"}}


@pytest.mark.parametrize("stage", BUILD)
def test_weights_fit_the_network_and_tell_what_made_them(
    tmp_path: Path, data: dict[str, Any], stage: Any
) -> None:
    stage(tmp_path / "out", data)
    path = tmp_path / "out" / "weights.safetensors"
    BUILD[stage]().load_state_dict(read_tensors(path, "weights"))
    with open_tensors(path, "weights") as shard:
        assert shard.params["classes"] == ["a", "b"] and shard.params["seed"] == 1
        assert shard.params["initial"] == RANDOM
        assert shard.params["network"]["mean"] == COLOURS["mean"]
        assert shard.params["training"]["precision"] == "full"
        assert set(shard.inputs) == INPUTS[stage]
        assert shard.inputs["manifest"] == digest(data["manifest"])


@pytest.mark.parametrize("stage", BUILD)
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, data: dict[str, Any], stage: Any) -> None:
    first, second = stage(tmp_path / "a", data), stage(tmp_path / "b", data)
    for name in ("weights.safetensors", "history.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    other = stage(tmp_path / "c", data, seed=2)
    assert (first / "history.csv").read_bytes() != (other / "history.csv").read_bytes()


@pytest.mark.parametrize("stage", BUILD)
def test_nothing_but_results_and_events_remains(tmp_path: Path, data: dict[str, Any], stage: Any) -> None:
    stage(tmp_path / "out", data)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["events", "history.csv", "weights.safetensors"]


def test_classifier_history(tmp_path: Path, data: dict[str, Any]) -> None:
    classify(tmp_path / "out", data)
    history = read_table(tmp_path / "out" / "history.csv")
    assert list(history) == ["iteration", "loss", "cnn_loss", "vit_loss", "cnn_lr", "vit_lr"]
    assert len(history) == 6  # two epochs of ceil(5 / 2) iterations
    assert (history["vit_lr"] == 1e-3).all() and history["cnn_lr"].is_monotonic_decreasing
    np.testing.assert_allclose(history["loss"], history["cnn_loss"] + history["vit_loss"], rtol=1e-6)


def test_a_classifier_without_class_token_has_one_loss(tmp_path: Path, data: dict[str, Any]) -> None:
    training = {**CLASSIFIER_TRAINING, "crop": 64, "epochs": 1, "batch": 5}
    classify(tmp_path / "out", data, network={"kind": "resnet50", **COLOURS}, training=training)
    history = read_table(tmp_path / "out" / "history.csv")
    assert list(history) == ["iteration", "loss", "cnn_loss", "cnn_lr"]


def test_irn_trains_its_heads_and_leaves_the_backbone(tmp_path: Path, data: dict[str, Any]) -> None:
    torch.manual_seed(5)
    start = build_irnet(IRN)
    write_tensors(tmp_path / "start.safetensors", "weights", start.backbone.model.state_dict())
    refine(
        tmp_path / "out",
        data,
        initial={**RANDOM, "file": str(tmp_path / "start.safetensors")},
    )
    trained = read_tensors(tmp_path / "out" / "weights.safetensors", "weights")
    for name, value in start.state_dict().items():
        if name.startswith("backbone."):
            assert torch.equal(trained[name], value), name
    history = read_table(tmp_path / "out" / "history.csv")
    assert list(history) == ["iteration", "loss", "loss_affinity", "edge_lr"]
    with open_tensors(tmp_path / "out" / "weights.safetensors", "weights") as shard:
        assert shard.params["initial"]["sha256"] == digest(tmp_path / "start.safetensors")


def test_the_displacement_head_learns_faster_and_is_centred(tmp_path: Path, data: dict[str, Any]) -> None:
    refine(tmp_path / "out", data, network={**IRN, "displacement": True})
    history = read_table(tmp_path / "out" / "history.csv")
    assert list(history) == [
        "iteration",
        "loss",
        "loss_affinity",
        "loss_displacement",
        "edge_lr",
        "displacement_lr",
    ]
    np.testing.assert_allclose(history["displacement_lr"], 10 * history["edge_lr"])
    trained = read_tensors(tmp_path / "out" / "weights.safetensors", "weights")
    assert trained["displacement.mean"].abs().max() > 0


def test_segmenter_rates_and_losses(tmp_path: Path, data: dict[str, Any]) -> None:
    segment(tmp_path / "out", data)
    history = read_table(tmp_path / "out" / "history.csv")
    assert list(history)[:5] == ["iteration", "loss", "loss_1", "loss_0.5", "loss_max"]
    assert list(history)[5:] == ["backbone_lr", "head_lr", "head_bias_lr"]
    np.testing.assert_allclose(history["head_bias_lr"], 20 * history["backbone_lr"])
    later = 1e-3 * (1 - 2 / 4) ** 0.9
    np.testing.assert_allclose(history["backbone_lr"], [1e-3, 1e-3, later, later])


def test_adamw_teaches_all_of_the_head_at_ten_times_the_rate(tmp_path: Path, data: dict[str, Any]) -> None:
    training = {**SEGMENTER_TRAINING, "optimizer": "adamw"}
    segment(tmp_path / "out", data, training=training)
    history = read_table(tmp_path / "out" / "history.csv")
    np.testing.assert_allclose(history["head_lr"], 10 * history["backbone_lr"])
    np.testing.assert_allclose(history["head_bias_lr"], history["head_lr"])
    plain = segment(tmp_path / "plain", data)
    named = segment(tmp_path / "named", data, training={**SEGMENTER_TRAINING, "optimizer": "sgd"})
    assert (plain / "history.csv").read_bytes() == (named / "history.csv").read_bytes()
    first, second = (read_tensors(out / "weights.safetensors", "weights") for out in (plain, named))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


LITE = {**DEEPLAB, "backbone": {"model": "tf_efficientnet_lite0", "arguments": {}, "output_stride": 16}}
BLOWN_UP = 1000.0  # its last feature, a linear layer's, may have any scale


def _start_of_any_scale(path: Path) -> dict[str, Any]:
    torch.manual_seed(5)
    backbone = build_segmenter(LITE, 3).backbone.model
    torch.nn.init.constant_(backbone.blocks[-1][-1].bn3.weight, BLOWN_UP)
    write_tensors(path, "weights", backbone.state_dict())
    return {**RANDOM, "file": str(path)}


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 3e-5), ("adamw", 1e-3)])
def test_a_segmenter_trains_on_a_last_feature_of_any_scale(
    tmp_path: Path, data: dict[str, Any], optimizer: str, lr: float
) -> None:
    initial = _start_of_any_scale(tmp_path / "start.safetensors")
    training = {**SEGMENTER_TRAINING, "optimizer": optimizer, "lr": lr, "iterations": 32, "accumulate": 1}
    settings = {"initial": initial, "training": training}
    segment(tmp_path / "layer", data, network={**LITE, "norm": "layer"}, **settings)
    losses = read_table(tmp_path / "layer" / "history.csv")["loss"]
    assert losses[-8:].mean() < 0.8 * losses[:3].mean()


def test_without_normalisation_it_ends_in_an_error_and_no_artefact(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    initial = _start_of_any_scale(tmp_path / "start.safetensors")
    training = {**SEGMENTER_TRAINING, "lr": 1e-4, "iterations": 24, "accumulate": 1}
    with pytest.raises(TrainingError, match=r"the loss (has left its range for good|is (nan|inf))"):
        segment(tmp_path / "out", data, network=LITE, initial=initial, training=training)
    assert not (tmp_path / "out" / "weights.safetensors").exists()


@pytest.mark.parametrize("stage", [refine, segment])
def test_an_image_without_label_map_is_named(tmp_path: Path, data: dict[str, Any], stage: Any) -> None:
    part = {**data, "labels": data["labels"][:1], "indexes": data["indexes"][:1]}
    with pytest.raises(ArtefactError, match=r"for each of 5 training images, found none for 2, .* '1'"):
        stage(tmp_path / "out", part)


def test_a_label_map_cut_in_half_is_named(tmp_path: Path, data: dict[str, Any]) -> None:
    path = data["labels"][0] / "2.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ArtefactError, match=r"2\.png: not a whole image"):
        segment(tmp_path / "out", data)


# ------------------------------------------------------------------------------------------------ pretraining

PRETRAINING = {**CLASSIFIER_TRAINING, "epochs": 1, "batch": 10}
PAINTED = {"count": 20, "seed": 3, "side": [32, 40]}


VIT = {
    "kind": "timm",
    "model": "vit_tiny_patch16_224",
    "arguments": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2},
    **COLOURS,
}


@pytest.mark.parametrize(
    "network", [NANO, {"backbone": THIN, **COLOURS}, VIT], ids=["conformer", "backbone", "vit"]
)
def test_pretrained_weights_are_small_and_load(
    tmp_path: Path, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain_network, "HELD_OUT", 4)
    settings = {"network": network, "training": PRETRAINING, "images": PAINTED}
    pretrain_network.run(**outputs(tmp_path / "out"), settings=settings)
    path = tmp_path / "out" / "weights.safetensors"
    state = read_tensors(path, "weights")
    assert {value.dtype for value in state.values()} <= {torch.float16, torch.int64}
    target = build_irnet(IRN).backbone if "backbone" in network else build_classifier(network, 2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    load_initial(target, {**RANDOM, "file": str(path)})
    changed = [name for name, value in target.state_dict().items() if not torch.equal(value, before[name])]
    assert len(changed) > len(before) / 2


def test_a_pretrained_vision_transformer_loads_into_timms_own_to_the_last_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain_network, "HELD_OUT", 4)
    settings = {"network": VIT, "training": PRETRAINING, "images": PAINTED}
    pretrain_network.run(**outputs(tmp_path / "out"), settings=settings)
    path = tmp_path / "out" / "weights.safetensors"
    state = read_tensors(path, "weights")
    encoder = timm.create_model(VIT["model"], num_classes=0, dynamic_img_size=True, **VIT["arguments"])
    assert set(state) == set(encoder.state_dict())
    classifier = build_classifier(VIT, 2)
    for target, loaded in ((encoder, encoder), (classifier, classifier.backbone)):
        load_initial(target, {**RANDOM, "file": str(path)})
        assert all(torch.equal(value, state[name].float()) for name, value in loaded.state_dict().items())
