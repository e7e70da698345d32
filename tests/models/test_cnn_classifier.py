"""CNNs of timm with class maps: IRN's ResNet-50 against recorded numbers, and any other."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from tests.golden import FOLDER, assert_close_to_golden
from tests.golden.fill import fill
from wsss.models.cnn_classifier import CnnClassifier

Golden = Callable[[str], dict[str, np.ndarray]]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
IRN_FROZEN = ("conv1", "bn1", "layer1", "layer2")
LITE = "tf_efficientnet_lite0"
LITE_FROZEN = ("conv_stem", "bn1", *(f"blocks.{stage}" for stage in range(5)))
THIN = {"channels": [8, 16, 24, 32]}


def irn(classes: int) -> CnnClassifier:
    return CnnClassifier("resnet50.tv_in1k", classes, dilate=False, frozen=IRN_FROZEN)


@pytest.fixture(scope="module")
def network() -> CnnClassifier:
    model = irn(20).eval()
    filled = fill(model, rename=lambda name: name.replace("backbone.", "resnet50."))
    names = json.loads((FOLDER / "names_irncam.json").read_text())
    assert sorted([name, list(shape)] for name, shape in filled) == sorted(names)
    return model


@pytest.fixture(scope="module")
def lite() -> CnnClassifier:
    torch.manual_seed(0)
    return CnnClassifier(LITE, 3, frozen=LITE_FROZEN)


def _pair(image: np.ndarray) -> Tensor:
    """The normalised image and its mirror image, (2, 3, H, W), rounded to float32 as recorded."""
    normalised = torch.from_numpy(((image / 255 - MEAN) / STD).astype(np.float32)).permute(2, 0, 1)
    return torch.stack([normalised, normalised.flip(-1)])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_irns_network_is_the_recorded_one(
    golden: Golden, network: CnnClassifier, dtype: torch.dtype, tolerance: float
) -> None:
    arrays = golden("irncam")
    network.to(dtype)
    for index, key in enumerate(["rgb", "rgb_scale_0p5", "rgb_scale_1p5", "rgb_scale_2p0"]):
        with torch.no_grad():
            output = network(_pair(arrays[key]).to(dtype))
        maps = output.class_maps.relu()
        assert_close_to_golden(maps[0] + maps[1].flip(-1), arrays[f"raw_scale{index}"], tolerance)
        if index == 0:
            assert_close_to_golden(output.cnn_logits, arrays["net_logits"], tolerance)


def _plain_irn() -> tuple[nn.Module, nn.Module]:
    """IRN's network without this class: torchvision's layout, the last stage's stride taken out by hand."""
    backbone = timm.create_model("resnet50.tv_in1k", pretrained=False, num_classes=0)
    first = backbone.layer4[0]
    first.conv2.stride = first.downsample[0].stride = (1, 1)
    return backbone.eval(), nn.Conv2d(2048, 2, 1, bias=False)


@pytest.mark.parametrize("size", [(64, 64), (50, 97), (1, 17)])
def test_irns_network_is_the_same_to_the_bit(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    found = irn(2)
    torch.manual_seed(1)
    backbone, head = _plain_irn()
    state = {
        **{f"backbone.{k}": v for k, v in backbone.state_dict().items()},
        "classifier.weight": head.weight,
    }
    assert list(state) == list(found.state_dict())
    assert all(torch.equal(value, state[key]) for key, value in found.state_dict().items())
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        stem = backbone.maxpool(backbone.act1(backbone.bn1(backbone.conv1(images))))
        stem = backbone.layer2(backbone.layer1(stem))
    maps = head(backbone.layer4(backbone.layer3(stem)))
    output = found(images)
    assert torch.equal(output.class_maps, maps) and torch.equal(output.cnn_logits, maps.mean((2, 3)))
    maps.mean((2, 3)).square().sum().backward()
    output.cnn_logits.square().sum().backward()
    expected = {f"backbone.{name}": p.grad for name, p in backbone.named_parameters()}
    expected["classifier.weight"] = head.weight.grad
    for name, parameter in found.named_parameters():
        assert (parameter.grad is None) == (expected[name] is None), name
        assert parameter.grad is None or torch.equal(parameter.grad, expected[name]), name


def test_has_no_token_branch(network: CnnClassifier) -> None:
    output = network.float()(torch.zeros(1, 3, 33, 16))
    assert output[1] is output.attention is output.token_maps is output.features is None
    assert output.class_maps.shape == (1, 20, 3, 1)
    assert network.stride == 16 and network.token_stride is None


def _learning(network: CnnClassifier) -> set[str]:
    network(torch.randn(1, 3, 32, 32)).cnn_logits.sum().backward()
    groups = network.parameter_groups()
    assert {id(p) for p in groups["cnn"]} == {id(p) for p in network.parameters() if p.grad is not None}
    assert groups["vit"] == []
    return {name for name, p in network.named_parameters() if p.grad is not None}


def test_only_irns_last_stages_learn(golden: Golden) -> None:
    learning = _learning(irn(2))
    children = {name.split(".")[1] for name in learning if name.startswith("backbone.")}
    assert children == set(golden("irncam")["trained_layers"].tolist())
    assert "classifier.weight" in learning


def test_only_what_follows_the_frozen_stages_learns(lite: CnnClassifier) -> None:
    parts = {".".join(name.split(".")[:3]) for name in _learning(lite) if "blocks" in name}
    assert parts == {"backbone.blocks.5", "backbone.blocks.6"}


def _changed_by_training(network: CnnClassifier) -> set[str]:
    before = {key: value.clone() for key, value in network.state_dict().items() if "running_mean" in key}
    network.train()(torch.randn(2, 3, 32, 32))
    return {key for key, value in before.items() if not torch.equal(value, network.state_dict()[key])}


def test_training_leaves_batch_normalisation_alone() -> None:
    network = irn(2).train()
    assert network.training and _changed_by_training(network) == set()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(images).class_maps, network.eval()(images).class_maps)


def test_statistics_may_learn_outside_the_frozen_part() -> None:
    network = CnnClassifier("resnet18", 2, arguments=THIN, frozen=("conv1", "bn1"), fixed_statistics=False)
    changed = _changed_by_training(network)
    assert "backbone.layer1.0.bn1.running_mean" in changed and "backbone.bn1.running_mean" not in changed


@pytest.mark.parametrize("size", [(32, 32), (33, 50), (1, 17), (213, 320)])
@pytest.mark.parametrize(
    ("model", "stride", "arguments"),
    [
        (LITE, 16, {}),
        ("resnet18", 8, THIN),
        ("convnext_atto", 16, {}),
        ("regnety_002", 16, {}),
        ("mobilenetv3_small_050", 32, {}),
    ],
)
def test_any_size(model: str, stride: int, arguments: dict[str, Any], size: tuple[int, int]) -> None:
    network = CnnClassifier(model, 2, arguments=arguments, output_stride=stride).eval()
    with torch.no_grad():
        output = network(torch.randn(1, 3, *size))
    assert network.stride == stride
    assert output.class_maps.shape == (1, 2, *(-(-side // stride) for side in size))


@pytest.mark.parametrize("bias", [True, False])
def test_maps_are_the_head_on_each_cell_and_logits_their_mean(bias: bool) -> None:
    network = CnnClassifier("resnet18", 2, arguments=THIN, bias=bias).double().eval()
    images = torch.randn(1, 3, 48, 32, dtype=torch.float64)
    with torch.no_grad():
        output = network(images)
        features = network.backbone.forward_features(images)[0]
    weight = network.classifier.weight[:, :, 0, 0].detach()
    cells = [[[weight[k] @ features[:, y, x] for x in range(2)] for y in range(3)] for k in range(2)]
    torch.testing.assert_close(output.class_maps[0], torch.tensor(cells, dtype=torch.float64))
    expected = [sum(sum(row) for row in cells[k]) / 6 for k in range(2)]
    logits = torch.stack(expected) + (network.classifier.bias if bias else 0)
    torch.testing.assert_close(output.cnn_logits[0], logits)
    assert len(network.head_parameters()) == 1 + bias


@pytest.mark.parametrize("model", [LITE, "resnet18", "convnext_atto", "regnety_002"])
def test_dilation_is_timms_own_or_none(model: str) -> None:
    dilated, plain = (CnnClassifier(model, 2, dilate=dilate) for dilate in (True, False))
    timms = timm.create_model(model, num_classes=0, output_stride=16)

    def dilations(network: nn.Module) -> list[tuple[int, ...]]:
        return [m.dilation for m in network.modules() if isinstance(m, nn.Conv2d)]

    assert dilations(dilated.backbone) == dilations(timms) and (2, 2) in dilations(timms)
    assert set(dilations(plain.backbone)) == {(1, 1)}
    plain.load_state_dict(dilated.state_dict())
    with torch.no_grad():
        maps = [network.eval()(torch.randn(1, 3, 96, 64)).class_maps for network in (dilated, plain)]
    assert maps[0].shape == maps[1].shape == (1, 2, 6, 4)


def test_at_timms_own_stride_the_features_are_timms() -> None:
    network = CnnClassifier(LITE, 2, output_stride=32, dilate=False).eval()
    theirs = timm.create_model(LITE, num_classes=0).eval()
    theirs.load_state_dict(network.backbone.state_dict())
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = network.classifier(theirs.forward_features(images))
        torch.testing.assert_close(network(images).class_maps, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("model", "options", "found"),
    [
        ("no_such_model", {}, r"timm 1\.\S+ has no model 'no_such_model'"),
        ("densenet121", {}, r"'densenet121' does not take .*output_stride.* take 32 or another model"),
        ("ghostnet_050", {}, r"only output_stride==32 is valid.* take 32 or another model"),
        ("vgg11", {}, r"'vgg11' does not take .*AssertionError.* take 32"),
        ("resnet18", {"arguments": {"widths": 3}}, r"'resnet18' does not take .*widths"),
        ("inception_v3", {"output_stride": 32}, r"one cell for 32 x 32 pixels.*found \(1, 2048, 2, 4\)"),
        ("vit_tiny_patch16_224", {"output_stride": 32}, r"found an error: Input height"),
        (
            LITE,
            {"frozen": ["blocks.9"]},
            r"no module 'blocks\.9'; it has conv_stem, .*blocks\.0 to blocks\.6",
        ),
        (LITE, {"frozen": [""]}, r"no module ''"),
    ],
)
def test_what_a_model_lacks_is_named(model: str, options: dict[str, Any], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        CnnClassifier(model, 2, **options)


def test_wrong_images_are_refused(lite: CnnClassifier) -> None:
    with pytest.raises(ValueError, match=r"expected shape \(B, 3, H, W\)"):
        lite(torch.zeros(3, 32, 32))
