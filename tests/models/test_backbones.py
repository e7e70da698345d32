"""Backbones: features of the promised channels and strides from any timm family, and the edits of ResNets."""

import pytest
import timm
import torch
from torch import nn

from tests.support.networks import build_backbone

THIN = {"channels": [8, 8, 16, 24]}
FAMILIES = [
    {"model": "resnet18", "arguments": THIN},
    {"model": "resnet18", "arguments": THIN, "output_stride": 16},
    {"model": "resnet18", "arguments": THIN, "output_stride": 8, "out_indices": [1, -1]},
    {"model": "resnet26", "arguments": THIN, "output_stride": 8},
    {"model": "convnext_atto", "arguments": {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}},
    {"model": "convnext_atto", "arguments": {"depths": [1, 1, 1, 1]}, "output_stride": 8},
    {"model": "mobilenetv3_small_050"},
    {"model": "vit_tiny_patch16_224", "arguments": {"depth": 4}, "output_stride": 16},
    {"model": "vit_tiny_patch16_224", "arguments": {"depth": 3}, "out_indices": [2]},
    {"model": "tf_efficientnet_lite0", "output_stride": 16},
    {"model": "efficientnet_lite0", "output_stride": 8},
    {"model": "tf_efficientnet_lite0", "output_stride": 16, "dilate": False},
    {"model": "efficientnet_lite0", "output_stride": 16, "dilate": False},
]


@pytest.mark.parametrize("network", FAMILIES, ids=lambda network: "-".join(map(str, network.values())))
@pytest.mark.parametrize("size", [(64, 96), (37, 51)])
def test_features_have_the_promised_channels_and_strides(network, size):
    backbone = build_backbone(network).eval()
    with torch.no_grad():
        features = backbone(torch.randn(2, 3, *size))
    expected = [
        (2, channels, *(-(-side // stride) for side in size))
        for channels, stride in zip(backbone.channels, backbone.strides, strict=True)
    ]
    assert [tuple(feature.shape) for feature in features] == expected


def test_output_stride_is_kept():
    assert build_backbone(FAMILIES[0]).strides == [4, 4, 8, 16, 32]
    assert build_backbone(FAMILIES[1]).strides == [4, 4, 8, 16, 16]
    assert build_backbone(FAMILIES[2]).strides == [4, 8]
    assert build_backbone(FAMILIES[5]).strides[-1] == 8
    assert build_backbone(FAMILIES[7]).strides == [16] * 4
    assert build_backbone(FAMILIES[9]).strides == [2, 4, 8, 16, 16]
    assert build_backbone(FAMILIES[10]).strides == [2, 4, 8, 8, 8]


def test_transformers_give_the_last_block_of_each_quarter():
    assert build_backbone({"model": "vit_tiny_patch16_224"}).out_indices == [2, 5, 8, 11]


@pytest.mark.parametrize("index", [1, 6, 8])
def test_weights_of_timm_load_under_their_own_names(index):
    network = FAMILIES[index]
    original = timm.create_model(network["model"], num_classes=0, **network.get("arguments", {}))
    assert list(build_backbone(network).model.state_dict()) == list(original.state_dict())


def test_features_do_not_see_what_lies_beyond_the_padding():
    backbone = build_backbone(FAMILIES[7]).eval()
    image = torch.randn(1, 3, 40, 40)
    padded = nn.functional.pad(image, (0, 8, 0, 8))
    with torch.no_grad():
        for feature, expected in zip(backbone(image), backbone(padded), strict=True):
            torch.testing.assert_close(feature, expected)


def _dilations(backbone: nn.Module, stage: str) -> list[int]:
    convolutions = getattr(backbone.model, stage).modules()
    return [m.dilation[0] for m in convolutions if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]


def test_dilation_can_be_left_out_or_set_from_the_first_block_on():
    network = {"model": "resnet26", "arguments": THIN, "output_stride": 8}
    assert _dilations(build_backbone(network), "layer4") == [2, 4]
    assert _dilations(build_backbone({**network, "dilate": False}), "layer4") == [1, 1]
    caffe = build_backbone({**network, "caffe_style": True})
    assert _dilations(caffe, "layer3") == [2, 2] and _dilations(caffe, "layer4") == [4, 4]
    assert caffe.model.maxpool.ceil_mode
    assert [caffe.model.layer2[0].conv1.stride, caffe.model.layer2[0].conv2.stride] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "efficientnet_lite0"])
def test_an_efficientnet_is_dilated_where_it_loses_its_stride_or_reads_adjoining_cells(model):
    """The last stages but one lose a stride of 2; a cell then reaches as far as before, or half of it."""

    def reach(**settings: object) -> int:
        torch.manual_seed(0)
        backbone = build_backbone({"model": model, "output_stride": 16, **settings}).eval()
        last = backbone.model.blocks[6]  # (B, 192, h, w) -> (B, 320, h, w), one 3x3 convolution
        cells = torch.zeros(1, 192, 9, 9)
        with torch.no_grad():
            before = last(cells)
            cells[..., 4, 4] = 1.0
            changed = (last(cells) != before).any(1)[0].nonzero()
        return int(changed[:, 0].max() - 4)

    assert reach() == 2 and reach(dilate=False) == 1


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({**FAMILIES[0], "caffe_style": True}, "bottleneck blocks, found resnet18"),
        ({**FAMILIES[6], "caffe_style": True}, "bottleneck blocks, found mobilenetv3_small_050"),
        ({**FAMILIES[7], "output_stride": 8}, "expected 16, found 8"),
        ({**FAMILIES[0], "out_indices": [5]}, r"indices of 5 features, found \[5\]"),
        ({**FAMILIES[0], "out_indices": [2, 1]}, r"ascending indices"),
        ({"model": "resnet51"}, "no model 'resnet51'"),
        (
            {"model": "ghostnet_050", "output_stride": 16},
            "only output_stride==32 .* take 32 or another model",
        ),
        ({"model": "resnet18", "arguments": {"widths": 3}}, "'resnet18' does not take .*widths"),
        ({"model": "vit_tiny_patch16_224", "arguments": {"widths": 3}}, "does not take .*widths"),
    ],
)
def test_impossible_configurations_are_refused(network, message):
    with pytest.raises(ValueError, match=message):
        build_backbone(network)
