"""ReCAM's training step: what learns at which rate, and what is written of it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.networks import build_classifier
from tests.support.trainings import COLOURS, NANO
from wsss.config.classifiers import RecamTraining
from wsss.training_methods import recam

CNN = {
    "kind": "cnn",
    "model": "resnet18",
    "arguments": {"channels": [8, 8, 16, 16]},
    "output_stride": 16,
    **COLOURS,
}
TRAINING = RecamTraining(
    kind="recam",
    epochs=1,
    batch=2,
    crop=32,
    rescale=[32, 48],
    precision="full",
    cnn_lr=5e-5,
    cnn_power=0.9,
    vit_lr=1e-3,
    vit_power=0,
    weight_decay=1e-4,
    second_lr=5e-4,
    weight=1.0,
    combine="product",
)
BATCH = {"images": torch.rand(2, 3, 32, 48), "tags": torch.tensor([[1.0, 0, 1], [0, 1, 0]])}


def trainee(network: dict[str, Any] = CNN, **more: Any) -> Any:
    torch.manual_seed(0)
    return recam.prepared(build_classifier({**network, **more}, 3).eval(), TRAINING)


def losses(network: Any, **changes: Any) -> dict[str, Tensor]:
    return recam.losses(network, BATCH, TRAINING.model_copy(update=changes))


def test_the_softmax_loss_stands_beside_that_of_the_labels() -> None:
    assert list(losses(trainee())) == ["cnn_loss", "recam_loss"]
    assert list(losses(trainee(NANO))) == ["cnn_loss", "vit_loss", "recam_loss"]
    once, twice = losses(trainee()), losses(trainee(), weight=2.0)
    torch.testing.assert_close(twice["recam_loss"], 2 * once["recam_loss"])
    torch.testing.assert_close(twice["cnn_loss"], once["cnn_loss"])


def test_without_weight_the_second_head_learns_nothing() -> None:
    network = trainee()
    sum(losses(network, weight=0.0).values()).backward()  # type: ignore[union-attr]
    assert not network.second.weight.grad.any()
    assert network.classifier.map_head().weight.grad.any()


def test_the_softmax_loss_teaches_body_and_both_heads() -> None:
    network = trainee()
    losses(network)["recam_loss"].backward()
    taught = (network.second, network.classifier.map_head(), network.classifier.backbone.conv1)
    assert all(module.weight.grad.any() for module in taught)


def test_the_stop_gradient_of_a_conformer_holds() -> None:
    network = trainee(NANO, stop_gradient=True)
    losses(network)["recam_loss"].backward()
    branches = network.classifier.parameter_groups()
    assert all(parameter.grad is None for parameter in branches["vit"])
    assert any(parameter.grad is not None for parameter in branches["cnn"])


def test_each_parameter_learns_once_at_its_rate() -> None:
    network = trainee()
    groups = recam.groups(network, TRAINING)
    assert [(group["name"], group["lr"], group["power"]) for group in groups] == [
        ("cnn", 5e-5, 0.9),
        ("second", 5e-4, 0.9),
    ]
    learning = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(learning) == sorted(map(id, network.parameters()))


@pytest.mark.parametrize("network", [CNN, {**CNN, "bias": True}, NANO], ids=["cnn", "bias", "conformer"])
def test_the_head_that_is_written_is_the_combination(network: dict[str, Any]) -> None:
    both = trainee(network)
    state, beside = recam.trained(both, TRAINING)
    first, second = both.classifier.map_head().weight.detach(), both.second.weight.detach()
    fresh = build_classifier(network, 3).eval()
    fresh.load_state_dict(dict(state))
    head: Any = fresh.map_head()  # type: ignore[operator]
    torch.testing.assert_close(head.weight.flatten(1), first.flatten(1) * second)
    assert head.bias is None or not head.bias.any()
    assert torch.equal(beside["first.weight"], first) and torch.equal(beside["second.weight"], second)
    assert ("first.bias" in beside) is (head.bias is not None)
    assert torch.equal(both.classifier.map_head().weight, first)  # the network itself is as it was


def test_with_ones_the_product_is_the_class_maps_of_the_body() -> None:
    both = trainee()
    torch.nn.init.ones_(both.second.weight)
    fresh = build_classifier(CNN, 3).eval()
    fresh.load_state_dict(dict(recam.trained(both, TRAINING).state))
    with torch.no_grad():
        images = BATCH["images"]
        assert torch.equal(fresh(images).class_maps, both.classifier(images).class_maps)
