"""timm's CNNs at an output stride: one rule for classifiers and for backbones."""

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from wsss.models.backbones import TimmBackbone
from wsss.models.cnn_classifier import CnnClassifier
from wsss.models.timm_cnns import create_cnn


def shapes(network: nn.Module) -> list[tuple[object, ...]]:
    """Dilation and padding of each convolution."""
    return [(m.dilation, m.padding) for m in network.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize("dilate", [True, False])
@pytest.mark.parametrize("model", ["resnet18", "tf_efficientnet_lite0", "convnext_atto", "regnety_002"])
def test_classifier_and_backbone_build_the_same(model: str, dilate: bool) -> None:
    torch.manual_seed(0)
    backbone = TimmBackbone(model, output_stride=16, dilate=dilate).model
    torch.manual_seed(0)
    classifier = CnnClassifier(model, 2, dilate=dilate).backbone
    assert shapes(backbone) == shapes(classifier)
    state = classifier.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())


def test_undone_dilation_leaves_what_timm_has_at_its_own_stride() -> None:
    plain, undone = create_cnn("resnet18", {}), create_cnn("resnet18", {}, 16, dilate=False)
    assert shapes(plain) == shapes(undone) != shapes(create_cnn("resnet18", {}, 16))


def test_padding_on_the_fly_is_left_alone() -> None:
    network = create_cnn("tf_efficientnet_lite0", {}, 16, dilate=False)
    same = [m for m in network.modules() if isinstance(m, Conv2dSame)]
    assert same and {m.dilation for m in same} == {(1, 1)} and {m.padding for m in same} == {(0, 0)}


def test_nothing_is_undone_where_no_stride_is_lost() -> None:
    for stride in (None, 32):
        assert shapes(create_cnn("resnet18", {}, stride, dilate=False)) == shapes(create_cnn("resnet18", {}))
