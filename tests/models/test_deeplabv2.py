"""DeepLabV2 on mmsegmentation: the recorded network, losses and parameter groups; frozen normalisation."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.utils.dl_utils import mmcv_full_available
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.golden import FOLDER, assert_close_to_golden, fill
from tests.support.networks import build_deeplabv2, build_segmenter
from tests.support.settings import CONFIG
from wsss.models.deeplabv2 import MODELS, MultiScaleEncoderDecoder, default_optimizer
from wsss.models.deeplabv2_network import atrous_convolutions, channel_norm

TOLERANCE, ROUNDED = 1e-9, 2e-7
NANO = {
    "backbone": {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 8},
    "rates": [1, 2],
    "multi_scale": [0.5, 0.75],
    "loss": "cross_entropy",
    "mean": [0, 0, 0],
}
PARTS = {"1": "reduce", "2": "conv3x3", "3": "increase"}


def _recorded_name(name: str) -> str:
    """Name of a parameter in the recorded network."""
    if match := re.fullmatch(r"decode_head\.convolutions\.(\d)\.(\w+)", name):
        return f"aspp.c{match[1]}.{match[2]}"
    if match := re.fullmatch(r"backbone\.model\.(conv|bn)1\.(\w+)", name):
        return f"layer1.conv1.{match[1]}.{match[2]}"
    match = re.fullmatch(r"backbone\.model\.layer(\d)\.(\d+)\.(\w+?)\.?(\d)\.(\w+)", name)
    assert match, name
    part = "shortcut" if match[3] == "downsample" else PARTS[match[4]]
    kind = {"conv": "conv", "bn": "bn", "downsample": ("conv", "bn")[int(match[4]) % 2]}[match[3]]
    return f"layer{int(match[1]) + 1}.block{int(match[2]) + 1}.{part}.{kind}.{match[5]}"


@pytest.fixture(scope="module")
def recorded() -> MultiScaleEncoderDecoder:
    """The recorded network in float64, in evaluation mode."""
    backbone = {"model": "resnet101", "output_stride": 8, "caffe_style": True}
    network = {**NANO, "backbone": backbone, "rates": [6, 12, 18, 24]}
    net = build_segmenter(network, 21).double()
    fill.fill(net, rename=_recorded_name)
    return net.eval()


@pytest.fixture
def nano() -> MultiScaleEncoderDecoder:
    torch.manual_seed(0)
    return build_segmenter(NANO, 4)


def _image(golden, name: str = "input") -> torch.Tensor:
    return torch.from_numpy(golden("deeplab")[name]).double()


def test_every_parameter_has_its_recorded_name_and_shape(recorded):
    names = json.loads((FOLDER / "names_deeplab.json").read_text())
    own = {_recorded_name(name): list(value.shape) for name, value in recorded.state_dict().items()}
    assert {name: shape for name, shape in own.items() if "num_batches" not in name} == dict(names)


def test_layers_give_the_recorded_features(recorded, golden):
    arrays = golden("deeplab")
    with torch.no_grad():
        features = recorded.extract_feat(_image(golden))
    for feature, expected in zip(features, arrays["layer_stats"], strict=True):
        found = [feature.mean().item(), feature.std().item(), *feature.shape[1:]]
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE)
    assert_close_to_golden(features[-1][:, ::32], arrays["layer5_c32"], ROUNDED)


@pytest.mark.parametrize(("image", "logits"), [("input", "logits_single"), ("wide_input", "wide_logits")])
def test_logits_are_the_recorded_ones(recorded, golden, image, logits):
    with torch.no_grad():
        found = recorded.logits(_image(golden, image))
    assert_close_to_golden(found, golden("deeplab")[logits], TOLERANCE)


def test_scales_and_losses_are_the_recorded_ones(recorded, golden):
    arrays = golden("deeplab")
    with torch.no_grad():
        pyramid = recorded.pyramid(_image(golden))
        losses = recorded.losses(_image(golden), torch.from_numpy(arrays["labels"]))
    assert [list(logits.shape) for logits in pyramid] == arrays["train_n_outputs"].tolist()
    for name, logits in zip(("logits_single", "train_out1", "train_out2", "msc_max"), pyramid, strict=True):
        assert_close_to_golden(logits, arrays[name], TOLERANCE)
    assert list(losses) == ["loss_1", "loss_0.5", "loss_0.75", "loss_max"]
    found = [*losses.values(), recorded.parse_losses(losses)[0]]
    np.testing.assert_allclose([value.item() for value in found], arrays["losses"], rtol=TOLERANCE)


def test_parameter_groups_are_the_recorded_ones(recorded, golden):
    table = json.loads((FOLDER / "deeplab_param_groups.json").read_text())
    names = {id(value): f"base.{_recorded_name(name)}" for name, value in recorded.named_parameters()}
    groups = recorded.parameter_groups(2.5e-4, 5e-4)
    found = {
        names[id(value)]: (number, group["lr"], group["weight_decay"])
        for number, group in enumerate(groups)
        for value in group["params"]
    }
    assert found.keys() == {entry["name"] for entry in table["groups"]}
    for entry in table["groups"]:
        assert found[entry["name"]] == pytest.approx((entry["group"], entry["lr"], entry["weight_decay"]))
    assert set(names.values()) - set(found) == set(table["not_optimised"])
    counts = [len(group["params"]) for group in groups]
    assert [*counts, len(names) - sum(counts)] == golden("deeplab")["param_group_counts"].tolist()


def test_normalisation_is_frozen_and_everything_else_learns(nano):
    norms = [module for module in nano.train().modules() if isinstance(module, _BatchNorm)]
    before = [norm.running_mean.clone() for norm in norms]
    sum(nano.losses(torch.randn(2, 3, 32, 40), torch.ones(2, 32, 40, dtype=torch.uint8)).values()).backward()
    assert nano.training and not any(norm.training for norm in norms)
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))
    assert all(norm.weight.grad is None and norm.bias.grad is None for norm in norms)
    learning = [value for group in nano.parameter_groups(1, 1) for value in group["params"]]
    assert all(value.grad is not None for value in learning)


def test_layer_norms_of_a_transformer_learn():
    backbone = {"model": "vit_tiny_patch16_224", "arguments": {"depth": 2}}
    net = build_segmenter({**NANO, "backbone": backbone}, 3)
    assert len(net.parameter_groups(1, 1)[0]["params"]) == len(list(net.backbone.parameters()))
    assert net.logits(torch.randn(1, 3, 40, 50)).shape == (1, 3, 3, 4)


def test_crops_need_not_be_square(nano):
    labels = torch.zeros(1, 24, 56, dtype=torch.uint8)
    losses = nano.losses(torch.randn(1, 3, 24, 56), labels)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_mmseg_trains_with_the_same_losses(nano):
    images, labels = torch.randn(2, 3, 32, 32), torch.randint(0, 4, (2, 32, 32), dtype=torch.uint8)
    samples = [SimpleNamespace(gt_sem_seg=SimpleNamespace(data=label[None])) for label in labels]
    expected = nano.losses(images, labels)
    assert nano(images, samples, mode="loss").keys() == expected.keys()
    torch.testing.assert_close(nano(images, samples, mode="loss"), expected)


def test_one_scale_and_balanced_losses_can_be_chosen(nano):
    images, labels = torch.randn(1, 3, 32, 32), torch.zeros(1, 32, 32, dtype=torch.uint8)
    single = build_segmenter({**NANO, "multi_scale": [], "loss": "balanced"}, 4)
    single.load_state_dict(nano.state_dict())
    losses = single.losses(images, labels)
    torch.testing.assert_close(losses, {"loss_1": nano.losses(images, labels)["loss_1"] / 2})


def test_a_linear_last_feature_enters_the_head_normalised():
    """By hand: a cell's channels 1, 3 have mean 2 and deviation 1."""
    torch.testing.assert_close(
        channel_norm(torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)).flatten(), torch.tensor([-1.0, 1.0])
    )
    feature = torch.randn(2, 6, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros_like(feature)
    for image, row, column in np.ndindex(2, 3, 5):
        cell = feature[image, :, row, column]
        deviation = ((cell - cell.mean()) ** 2).mean().add(1e-6).sqrt()
        expected[image, :, row, column] = (cell - cell.mean()) / deviation
    torch.testing.assert_close(channel_norm(feature), expected)
    torch.testing.assert_close(channel_norm(1000 * feature), channel_norm(feature), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", [None, "layer", "by_backbone"])
def test_the_network_alone_gives_the_bytes_of_the_trained_one(norm: str | None) -> None:
    torch.manual_seed(0)
    trained = build_segmenter({**NANO, "norm": norm}, 4).eval()
    alone = build_deeplabv2({**NANO, "norm": norm}, 4).eval()
    alone.load_state_dict(trained.state_dict())
    images = torch.rand(2, 3, 33, 47)
    with torch.inference_mode():
        assert torch.equal(alone.logits(images), trained.logits(images))


def test_normalising_adds_no_parameter_and_draws_no_number(nano):
    torch.manual_seed(0)
    normalised = build_segmenter({**NANO, "norm": "layer"}, 4)
    for (name, value), (other, expected) in zip(
        normalised.state_dict().items(), nano.state_dict().items(), strict=True
    ):
        assert name == other and torch.equal(value, expected)
    image = torch.randn(1, 3, 32, 40)
    feature = channel_norm(nano.eval().backbone(image)[-1])
    expected = sum(conv(feature) for conv in nano.decode_head.convolutions)
    torch.testing.assert_close(normalised.eval().logits(image), expected)


TINY_VIT = {"model": "vit_tiny_patch16_224", "arguments": {"depth": 2, "embed_dim": 24, "num_heads": 2}}
LITE = {"model": "tf_efficientnet_lite0", "output_stride": 16}


@pytest.mark.parametrize(
    ("backbone", "norm", "optimizer"),
    [
        (NANO["backbone"], None, "sgd"),
        (TINY_VIT, None, "adamw"),
        (LITE, "layer", "adamw"),
        ({"model": "convnext_atto"}, "layer", "adamw"),
    ],
    ids=["residual", "transformer", "efficientnet", "convnext"],
)
def test_defaults_follow_the_kind_of_backbone(backbone, norm, optimizer):
    built = build_segmenter({**{k: v for k, v in NANO.items() if k != "norm"}, "backbone": backbone}, 4)
    assert (built.decode_head.norm, default_optimizer(built.backbone)) == (norm, optimizer)
    given = build_segmenter({**NANO, "backbone": backbone, "norm": None}, 4)
    assert given.decode_head.norm is None


def test_pretrained_weights_survive_the_initialisation_of_mmengine(nano):
    nn.init.constant_(nano.backbone.model.conv1.weight, 0.5)
    nano.init_weights()
    assert (nano.backbone.model.conv1.weight == 0.5).all()


def test_the_head_starts_near_zero_without_bias(nano):
    for conv in nano.decode_head.convolutions:
        assert 0.005 < conv.weight.std() < 0.02 and not conv.bias.any()


@pytest.mark.parametrize("name", CONFIG["segmenters"])
def test_every_configured_network_can_be_built(name):
    network = CONFIG["segmenters"][name]["network"]
    with torch.device("meta"):
        net = build_segmenter(network, 21)
    assert net.backbone.strides[-1] == network["backbone"]["output_stride"]


def test_the_reference_s_network_and_way_of_inference_are_configured():
    """Its layout as recorded above, and the largest logits of its training's scales, without a mirror."""
    backbone = CONFIG["segmenters"]["deeplabv2_caffe"]["network"]["backbone"]
    asked = {"model": "resnet101", "arguments": {}, "output_stride": 8, "caffe_style": True}
    assert asked.items() <= backbone.items()
    scales = {1.0, *CONFIG["segmenters"]["deeplabv2"]["network"]["multi_scale"]}
    for name, crf in (("reference", None), ("reference_crf", CONFIG["inferences"]["multi_crf"]["crf"])):
        inference = CONFIG["inferences"][name]
        assert (set(inference["scales"]), inference["mirror"], inference["crf"]) == (scales, False, crf)


def test_parts_are_registered_and_the_stand_in_is_gone():
    assert {"TimmBackbone", "DeepLabV2Head", "MultiScaleEncoderDecoder"} <= set(MODELS.module_dict)
    assert not mmcv_full_available()


def test_operators_that_are_not_compiled_raise_when_called():
    from mmcv.ops import nms

    with pytest.raises(RuntimeError, match=r"mmcv\._ext\.nms is not compiled"):
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)


def test_each_convolution_is_drawn_before_the_next_is_made() -> None:
    """The order of the random numbers decides what is trained: the same seed must train the same network."""
    torch.manual_seed(3)
    expected = []
    for rate in (1, 2):
        convolution = torch.nn.Conv2d(4, 2, 3, padding=rate, dilation=rate)
        torch.nn.init.normal_(convolution.weight, std=0.01)
        expected.append(convolution.weight)
    torch.manual_seed(3)
    drawn = atrous_convolutions(4, 2, (1, 2))
    assert all(torch.equal(one.weight, other) for one, other in zip(drawn, expected, strict=True))
