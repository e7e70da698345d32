"""The training stages on a handful of small generated images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.stages.trainings import (
    CLASSIFIER_TRAINING,
    COLOURS,
    DEEPLAB,
    IRN,
    NANO,
    RANDOM,
    classify,
    make_labelled,
    refine,
    segment,
)
from wsss.artefacts import open_tensors, read_table, read_tensors, write_tensors
from wsss.files import ArtefactError, digest
from wsss.models.classifiers import build_classifier
from wsss.models.deeplabv2 import build_segmenter
from wsss.models.irnet import build_irnet


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
