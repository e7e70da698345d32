"""The training stages on a handful of small generated images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from tests.support.networks import build_classifier, build_irnet, build_segmenter
from tests.support.trainings import (
    CLASSIFIER_TRAINING,
    COLOURS,
    DEEPLAB,
    IRN,
    IRN_TRAINING,
    NANO,
    RANDOM,
    SEGMENTER_TRAINING,
    classify,
    make_labelled,
    refine,
    segment,
)
from wsss.artefacts.files import ArtefactError, digest
from wsss.artefacts.formats import (
    label_path,
    open_tensors,
    read_label_index,
    read_manifest,
    read_mask,
    read_table,
    read_tensors,
    write_labels,
    write_manifest,
    write_tensors,
)
from wsss.artefacts.networks import load_network
from wsss.config.classifiers import TagsTraining
from wsss.stages.classify import train_classifier
from wsss.training import TrainingError
from wsss.training.engine import _optimizer
from wsss.training_methods.tags import branch_groups

CNN = {
    "kind": "cnn",
    "model": "resnet18",
    "arguments": {"channels": [8, 16, 24, 32]},
    "output_stride": 16,
    "frozen": ["conv1", "bn1", "layer1"],
    **COLOURS,
}
CNN_TRAINING = {**CLASSIFIER_TRAINING, "crop": 32, "rescale": [32, 48], "epochs": 1, "batch": 5}
TINY_VIT = {"depth": 1, "embed_dim": 16, "num_heads": 2, "img_size": 32}
PAIR: dict[str, Any] = {
    "kind": "pair",
    "cnn": {key: value for key, value in CNN.items() if key not in ("kind", "mean", "std")},
    "vit": {
        "model": "vit_tiny_patch16_224",
        "arguments": TINY_VIT,
        "learns": False,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    },
    **COLOURS,
}
VIT_SEEN = {"supervision": "photographs", "pixel_labels": True}


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
    classify(tmp_path / "out", data, network=CNN, training=CNN_TRAINING)
    history = read_table(tmp_path / "out" / "history.csv")
    assert list(history) == ["iteration", "loss", "cnn_loss", "cnn_lr"]


def test_a_classifier_is_trained_by_irns_recipe(tmp_path: Path, data: dict[str, Any]) -> None:
    """What is frozen stays to the bit, the rest moves, the head at ten times the rate."""
    recipe = {"optimizer": "sgd", "momentum": 1e-4, "head_factor": 10, "cnn_lr": 0.1, "weight_decay": 0.01}
    training = {**CNN_TRAINING, **recipe, "epochs": 1, "batch": 5}
    torch.manual_seed(1)
    start = build_classifier(CNN, 2)
    classify(tmp_path / "out", data, network=CNN, training=training)
    history = read_table(tmp_path / "out" / "history.csv")
    assert list(history) == ["iteration", "loss", "cnn_loss", "cnn_lr", "cnn_head_lr"]
    assert history[["cnn_lr", "cnn_head_lr"]].to_numpy().tolist() == [[0.1, 1.0]]
    trained = read_tensors(tmp_path / "out" / "weights.safetensors", "weights")
    still = {name for name, value in start.state_dict().items() if torch.equal(value, trained[name])}
    assert not any("layer4" in name for name in still if name.endswith("weight"))
    assert {name for name in trained if "layer1" in name or "running" in name} < still


def test_a_classifiers_descent_is_that_of_its_settings() -> None:
    """One update by hand: without momentum to speak of, w - lr (gradient + decay w)."""
    recipe = {"optimizer": "sgd", "momentum": 1e-4, "head_factor": 10, "cnn_lr": 0.1, "weight_decay": 0.01}
    network = build_classifier(CNN, 2)
    groups = branch_groups(network, TagsTraining(**{**CNN_TRAINING, **recipe}))
    rates = {group["name"]: (group["lr"], group["power"], group["weight_decay"]) for group in groups}
    assert rates == {"cnn": (0.1, 0.9, 0.01), "cnn_head": (1.0, 0.9, 0.01)}
    learning = {id(p) for p in network.parameters() if p.requires_grad}
    assert {id(p) for group in groups for p in group["params"]} == learning
    plan = train_classifier.schedule(TagsTraining(**{**CNN_TRAINING, **recipe}), 100)
    assert (plan.optimizer, plan.momentum, plan.iterations) == ("sgd", 1e-4, 20)
    assert train_classifier.schedule(TagsTraining(**CNN_TRAINING), 100).optimizer == "adamw"
    head = network.classifier.weight
    before = head.detach().clone()
    network(torch.ones(1, 3, 32, 32)).cnn_logits.sum().backward()
    _optimizer(groups, plan).step()
    torch.testing.assert_close(head.detach(), before - 1.0 * (head.grad + 0.01 * before))


def test_all_heads_learn_faster_where_asked() -> None:
    groups = branch_groups(build_classifier(NANO, 2), TagsTraining(**CLASSIFIER_TRAINING, head_factor=3))
    sizes = {group["name"]: (len(group["params"]), group["lr"]) for group in groups}
    assert sizes["cnn_head"] == sizes["vit_head"] == (2, pytest.approx(3e-3))
    assert [group["name"] for group in groups] == ["cnn", "cnn_head", "vit", "vit_head"]


@pytest.mark.parametrize("learns", [True, False])
def test_a_pair_trains_what_learns(tmp_path: Path, data: dict[str, Any], learns: bool) -> None:
    network = {**PAIR, "vit": {**PAIR["vit"], "learns": learns}}
    training = {key: value for key, value in CNN_TRAINING.items() if learns or not key.startswith("vit_")}
    timms = timm.create_model("vit_tiny_patch16_224", num_classes=7, **TINY_VIT)
    write_tensors(tmp_path / "vit.safetensors", "weights", timms.state_dict())
    initial = {"cnn": RANDOM, "vit": {**VIT_SEEN, "file": str(tmp_path / "vit.safetensors"), "sha256": None}}
    classify(tmp_path / "out", data, network=network, training=training, initial=initial)
    history = read_table(tmp_path / "out" / "history.csv")
    branches = ["cnn", "vit"] if learns else ["cnn"]
    columns = ["iteration", "loss", *(f"{b}_loss" for b in branches), *(f"{b}_lr" for b in branches)]
    assert list(history) == columns
    path = tmp_path / "out" / "weights.safetensors"
    trained = read_tensors(path, "weights")
    body = {f"vit.{name}": value for name, value in timms.state_dict().items() if "head" not in name}
    assert all(torch.equal(trained[name], value) for name, value in body.items()) is not learns
    build_classifier(network, 2).load_state_dict(trained)
    with open_tensors(path, "weights") as shard:
        seen = shard.params["initial"]
    assert seen["supervision"] == "none (class maps), photographs (attention)" and seen["pixel_labels"]
    assert seen["cnn"] == RANDOM and seen["vit"]["sha256"] == digest(tmp_path / "vit.safetensors")


RECAM = {
    **CNN_TRAINING,
    "kind": "recam",
    "cnn_lr": 5e-5,
    "second_lr": 5e-4,
    "weight": 1.0,
    "combine": "product",
}


def recam(folder: Path, data: dict[str, Any], **changes: Any) -> Path:
    """Train a CNN, then go on from it by ReCAM's step."""
    first = classify(folder / "first", data, network=CNN, training=CNN_TRAINING) / "weights.safetensors"
    settings = {
        "network": CNN,
        "training": RECAM,
        "initial": {"classifier": "first"},
        "initial_weights": first,
    }
    return classify(folder / "second", data, **{**settings, **changes})


def test_recam_goes_on_from_a_trained_classifier(tmp_path: Path, data: dict[str, Any]) -> None:
    second = recam(tmp_path, data)
    history = read_table(second / "history.csv")
    names = ["cnn_loss", "recam_loss", "cnn_lr", "second_lr"]
    assert list(history) == ["iteration", "loss", *names]
    path, start = second / "weights.safetensors", tmp_path / "first" / "weights.safetensors"
    network = load_network(build_classifier(CNN, 2), path, read_manifest(data["manifest"]))
    tensors = read_tensors(path, "weights")
    kept = {name: tensors[f"beside.{name}.weight"] for name in ("first", "second")}
    combined = kept["first"].flatten(1) * kept["second"]
    assert torch.equal(network.state_dict()["classifier.weight"].flatten(1).cpu(), combined)
    before = read_tensors(start, "weights")  # at such rates one update hardly moves anything
    torch.testing.assert_close(kept["first"], before["classifier.weight"], atol=2e-4, rtol=0)
    assert not torch.equal(kept["first"], before["classifier.weight"])
    with open_tensors(path, "weights") as shard:
        assert shard.params["initial"] == {**RANDOM, "classifier": "first"}
        assert shard.inputs["initial_weights"] == digest(start)


def test_recam_gives_the_same_bytes_again(tmp_path: Path, data: dict[str, Any]) -> None:
    one, other = recam(tmp_path / "a", data), recam(tmp_path / "b", data)
    assert (one / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()


def test_a_training_that_goes_on_needs_the_weights_it_goes_on_from(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    with pytest.raises(ArtefactError, match="expected those of the trained classifier 'first', found none"):
        recam(tmp_path, data, initial_weights=None)
    with pytest.raises(ArtefactError, match="does not fit the configured network"):
        recam(tmp_path, data, network={**CNN, "arguments": {"channels": [8, 16, 24, 40]}})


def test_irn_trains_its_heads_and_leaves_the_backbone(tmp_path: Path, data: dict[str, Any]) -> None:
    torch.manual_seed(5)
    start = build_irnet(IRN)
    write_tensors(tmp_path / "start.safetensors", "weights", start.backbone.model.state_dict())
    refine(
        tmp_path / "out",
        data,
        initial={**RANDOM, "file": str(tmp_path / "start.safetensors"), "sha256": None},
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
    return {**RANDOM, "file": str(path), "sha256": None}


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
    training = {**SEGMENTER_TRAINING, "lr": 1e-4, "iterations": 24, "accumulate": 1, "optimizer": "sgd"}
    with pytest.raises(TrainingError, match=r"the loss (has left its range for good|is (nan|inf))"):
        segment(tmp_path / "out", data, network={**LITE, "norm": None}, initial=initial, training=training)
    assert not (tmp_path / "out" / "weights.safetensors").exists()


def test_any_backbone_trains_with_what_is_its_default(tmp_path: Path, data: dict[str, Any]) -> None:
    """Neither norm nor optimiser given: an EfficientNet of any scale is normalised and takes AdamW."""
    training = {key: value for key, value in SEGMENTER_TRAINING.items() if key != "optimizer"}
    training |= {"lr": 1e-3, "iterations": 32, "accumulate": 1}
    initial = _start_of_any_scale(tmp_path / "start.safetensors")
    segment(tmp_path / "out", data, network=LITE, initial=initial, training=training)
    history = read_table(tmp_path / "out" / "history.csv")
    np.testing.assert_allclose(history["head_bias_lr"], 10 * history["backbone_lr"])
    assert history["loss"][-8:].mean() < 0.8 * history["loss"][:3].mean()


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


# ---------------------------------------------------------------------------------- IRNet's pairs of labels


def relabel(data: dict[str, Any], change: Any, **settings: Any) -> dict[str, Any]:
    """The same label maps, of which ``change`` makes others by the image's number."""
    for folder, index in zip(data["labels"], data["indexes"], strict=True):
        ids = read_label_index(index).ids
        labels = [(name, change(int(name), read_mask(label_path(folder, name)))) for name in ids]
        write_labels(folder, index, labels, {"settings": settings})
    return data


def one_kind(kind: str, images: int) -> Any:
    """Takes one kind of label from the first images."""

    def change(number: int, label: np.ndarray) -> np.ndarray:
        unsure = {"foreground": label == 0, "background": (label > 0) & (label < 255), "neither": label < 255}
        return np.where(unsure[kind] & (number < images), 255, label).astype(np.uint8)

    return change


@pytest.mark.parametrize("kind", ["foreground", "background", "neither"])
def test_irn_refuses_labels_of_which_most_show_one_kind_alone(
    tmp_path: Path, data: dict[str, Any], kind: str
) -> None:
    settings = {"foreground": 0.3, "background": 0.05, "gt_prob": 0.7}
    relabel(data, one_kind(kind, 3), **settings)
    counts = {name: 3 if name == kind else 0 for name in ("foreground", "background", "neither")}
    message = (
        "in most of the 5 images that show a class, found one kind alone in 3: "
        f"{counts['foreground']} only foreground, {counts['background']} only background, "
        f"{counts['neither']} neither"
    )
    with pytest.raises(ArtefactError, match=message) as refused:
        refine(tmp_path / "out", data)
    assert "(foreground 0.3, background 0.05)" in str(refused.value)
    for word in ("refiners.irn_rule", "pseudo.threshold", "labels {threshold: half_maximum, foreground"):
        assert word in str(refused.value)
    assert "otsu" not in str(refused.value)
    assert not (tmp_path / "out" / "weights.safetensors").exists()


def test_irn_takes_labels_of_which_no_more_than_half_show_one_kind(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    refine(tmp_path / "out", relabel(data, one_kind("background", 2)))


def test_images_without_a_class_are_background_rightly(tmp_path: Path, data: dict[str, Any]) -> None:
    manifest = read_manifest(data["manifest"])
    records = [replace(record, classes=()) if int(record.id) < 3 else record for record in manifest.records]
    write_manifest(data["manifest"], replace(manifest, records=tuple(records)))
    relabel(data, lambda number, label: np.where(number < 3, 0, label).astype(np.uint8))
    refine(tmp_path / "out", data)


def test_irn_is_not_trained_on_an_index_that_does_not_tell_the_labels(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    lines = data["indexes"][0].read_text().replace('"labels": [0, 1, 255]', '"labels": []')
    data["indexes"][0].write_text(lines)
    with pytest.raises(
        ArtefactError, match=r"expected the labels that occur in each image, found none for 3"
    ):
        refine(tmp_path / "out", data)


def test_a_working_size_changes_irn_s_training_and_the_own_one_does_not(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    network = {**IRN, "displacement": True}

    def trained(name: str, **more: Any) -> bytes:
        refine(tmp_path / name, data, network=network, training={**IRN_TRAINING, **more})
        return (tmp_path / name / "history.csv").read_bytes()

    plain = trained("plain")
    assert trained("null", long_side=None) == plain
    assert trained("large", long_side=96) != plain
