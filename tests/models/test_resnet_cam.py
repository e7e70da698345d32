"""IRN's ResNet-50 against recorded numbers, and what of it learns."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden import FOLDER, assert_close_to_golden
from tests.golden.fill import fill
from wsss.models.resnet_cam import ResNetCam

Golden = Callable[[str], dict[str, np.ndarray]]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def network() -> ResNetCam:
    model = ResNetCam(20).eval()
    filled = fill(model, rename=lambda name: name.replace("backbone.", "resnet50."))
    names = json.loads((FOLDER / "names_irncam.json").read_text())
    assert sorted([name, list(shape)] for name, shape in filled) == sorted(names)
    return model


def _pair(image: np.ndarray) -> Tensor:
    """The normalised image and its mirror image, (2, 3, H, W), rounded to float32 as recorded."""
    normalised = torch.from_numpy(((image / 255 - MEAN) / STD).astype(np.float32)).permute(2, 0, 1)
    return torch.stack([normalised, normalised.flip(-1)])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_golden(golden: Golden, network: ResNetCam, dtype: torch.dtype, tolerance: float) -> None:
    arrays = golden("irncam")
    network.to(dtype)
    for index, key in enumerate(["rgb", "rgb_scale_0p5", "rgb_scale_1p5", "rgb_scale_2p0"]):
        with torch.no_grad():
            output = network(_pair(arrays[key]).to(dtype))
        maps = output.class_maps.relu()
        assert_close_to_golden(maps[0] + maps[1].flip(-1), arrays[f"raw_scale{index}"], tolerance)
        if index == 0:
            assert_close_to_golden(output.cnn_logits, arrays["net_logits"], tolerance)


def test_has_no_token_branch(network: ResNetCam) -> None:
    output = network.float()(torch.zeros(1, 3, 33, 16))
    assert output.vit_logits is None and output.attention is None
    assert output.class_maps.shape == (1, 20, 3, 1)
    assert network.stride == 16


def test_only_the_last_stages_learn(golden: Golden) -> None:
    network = ResNetCam(2)
    network(torch.randn(1, 3, 32, 32)).cnn_logits.sum().backward()
    learning = {name for name, p in network.named_parameters() if p.grad is not None}
    children = {name.split(".")[1] for name in learning if name.startswith("backbone.")}
    assert children == set(golden("irncam")["trained_layers"].tolist())
    assert "classifier.weight" in learning
    groups = network.parameter_groups()
    assert {id(p) for p in groups["cnn"]} == {id(p) for p in network.parameters() if p.grad is not None}
    assert groups["vit"] == []


def test_training_leaves_batch_normalisation_alone() -> None:
    network = ResNetCam(2).train()
    before = {key: value.clone() for key, value in network.state_dict().items() if "running" in key}
    images = torch.randn(2, 3, 32, 32)
    trained = network(images).class_maps
    assert network.training
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in before.items())
    torch.testing.assert_close(trained, network.eval()(images).class_maps)
