"""The features that class maps are made of, in every kind of classifier, and a second head on them."""

from typing import Any

import pytest
import torch

from tests.support.networks import build_classifier
from tests.support.trainings import COLOURS, NANO
from wsss.config.networks import Backbone
from wsss.models.backbone_classifier import BackboneClassifier
from wsss.models.second_head import SecondHead

THIN = {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 16}
VIT = {"model": "vit_tiny_patch16_224", "arguments": {"depth": 1, "embed_dim": 24, "num_heads": 2}}
KINDS: dict[str, dict[str, Any]] = {
    "conformer": NANO,
    "cnn": {"kind": "cnn", **THIN, **COLOURS},
    "timm": {"kind": "timm", **VIT, **COLOURS},
    "pair": {"kind": "pair", "cnn": THIN, "vit": {**VIT, "learns": False, **COLOURS}, **COLOURS},
}


def build(kind: str) -> Any:
    torch.manual_seed(0)
    if kind == "backbone":
        return BackboneClassifier(Backbone(**THIN), 3).eval()
    return build_classifier(KINDS[kind], 3).eval()


@pytest.mark.parametrize("kind", [*KINDS, "backbone"])
@pytest.mark.parametrize("attention", [True, False])
def test_the_head_makes_the_class_maps_of_the_features(kind: str, attention: bool) -> None:
    network = build(kind)
    with torch.no_grad():
        output = network(torch.randn(2, 3, 32, 48), attention=attention)
    weights = network.map_head().weight.flatten(1)
    expected = torch.einsum("cd,bdhw->bchw", weights, output.map_features)
    torch.testing.assert_close(output.class_maps, expected, rtol=1e-4, atol=1e-5)
    assert {id(weight) for weight in network.map_head().parameters()} <= set(
        map(id, network.head_parameters())
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_head_reads_the_same_channels(kind: str) -> None:
    network = build(kind)
    both = SecondHead(network)
    assert both.second.weight.shape == network.map_head().weight.shape[:2] and both.second.bias is None
    assert network.get_submodule(both.head_name()) is network.map_head()
