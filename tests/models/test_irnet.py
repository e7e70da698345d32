"""IRNet: the recorded network and losses, a backbone that never learns, images of any size."""

import json
import re

import numpy as np
import pytest
import torch

from tests.golden import FOLDER, assert_close_to_golden, fill
from tests.support.networks import build_irnet
from wsss.methods.affinity_loss import affinity_terms, displacement_terms, irn_losses, pair_labels
from wsss.models.irnet import IRNet, edge_map

TOLERANCE = 1e-9
NANO = {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 16}


def _recorded_name(name: str) -> str:
    """Name of a parameter in the recorded network."""
    part = {"reduce": "0", "norm": "1"}
    if name.startswith("backbone.model."):
        return name.replace("backbone.model.", "resnet50.")
    if match := re.fullmatch(r"edge\.branches\.(\d)\.(\w+)\.(\w+)", name):
        return f"fc_edge{int(match[1]) + 1}.{part[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"displacement\.(fine|coarse)\.(\d)\.(\w+)\.(\w+)", name):
        first = {"fine": 1, "coarse": 3}[match[1]]
        return f"fc_dp{int(match[2]) + first}.{part[match[3]]}.{match[4]}"
    if match := re.fullmatch(r"displacement\.merge\.(\w+)\.(\w+)", name):
        return f"fc_dp6.{part[match[1]]}.{match[2]}"
    name = name.replace("edge.mix.", "fc_edge6.").replace("displacement.mix.", "fc_dp7.")
    return name.replace("displacement.mean", "mean_shift.running_mean")


@pytest.fixture(scope="module")
def recorded() -> IRNet:
    """The recorded network in float64, in evaluation mode."""
    net = build_irnet({"backbone": {"model": "resnet50", "output_stride": 16}, "displacement": True}).double()
    fill.fill(net, rename=_recorded_name)
    return net.eval()


@pytest.fixture
def nano() -> IRNet:
    torch.manual_seed(0)
    return build_irnet({"backbone": NANO, "displacement": True, "mean": [0, 0, 0], "std": [1, 1, 1]})


def _image(golden, name: str) -> torch.Tensor:
    return torch.from_numpy(golden("irn")[name]).double()


def test_every_parameter_has_its_recorded_name_and_shape(recorded):
    own = {_recorded_name(name): list(value.shape) for name, value in recorded.state_dict().items()}
    names = json.loads((FOLDER / "names_irnet.json").read_text())
    assert {name: shape for name, shape in own.items() if "num_batches" not in name} == dict(names)


@pytest.mark.parametrize("prefix", ["net", "odd"])
def test_heads_give_the_recorded_maps(recorded, golden, prefix):
    output = recorded(_image(golden, f"{prefix}_input"))
    assert_close_to_golden(output.edge, golden("irn")[f"{prefix}_edge_logit"], TOLERANCE)
    assert_close_to_golden(output.displacement, golden("irn")[f"{prefix}_disp"], TOLERANCE)


def test_mean_displacement_is_not_subtracted_in_training(recorded, golden):
    displacement = recorded.train()(_image(golden, "net_input")).displacement
    recorded.eval()
    assert_close_to_golden(displacement, golden("irn")["net_disp_train"], TOLERANCE)


@pytest.mark.parametrize(
    ("image", "edge", "pad_to"),
    [
        ("net_input", "edgedisp_nopad_edge", None),
        ("odd_input", "odd_nopad_edge", None),
        ("net_input", "edgedisp_edge", 512),
    ],
)
def test_edge_map_is_the_recorded_one(recorded, golden, image, edge, pad_to):
    with torch.no_grad():
        found = edge_map(recorded, _image(golden, image)[0], pad_to=pad_to)
    assert_close_to_golden(found, golden("irn")[edge][0], TOLERANCE)


@pytest.mark.parametrize("radius", [5, 10])
def test_losses_and_gradients_are_the_recorded_ones(recorded, golden, radius):
    arrays = golden("irn")
    labels = torch.from_numpy(arrays[f"loss_r{radius}_seglabel"])[None]
    recorded.train().zero_grad()
    output = recorded(_image(golden, f"loss_r{radius}_input"))
    recorded.eval()
    pairs = pair_labels(labels, radius)
    affinity = affinity_terms(output.edge, pairs, radius)
    displacement = displacement_terms(output.displacement, pairs, radius)
    total = sum(irn_losses(*output, labels, radius).values())
    positive = (affinity.background + affinity.foreground) / 2
    terms = [*affinity[:2], positive, affinity[2], displacement[1], displacement[0], total]
    found = [float(term.detach()) for term in terms] + [int(mask.sum()) for mask in pairs]
    for value, expected in zip(found, arrays[f"loss_r{radius}_scalars"], strict=True):
        assert_close_to_golden(np.array([value]), [expected], TOLERANCE)
    total.backward()
    gradients = {"edge6": recorded.edge.mix.weight.grad, "dp7": recorded.displacement.mix[3].weight.grad}
    for name, gradient in gradients.items():
        assert_close_to_golden(gradient, arrays[f"loss_r{radius}_grad_{name}"], TOLERANCE)


def test_backbone_never_learns(nano):
    before = {name: value.clone() for name, value in nano.backbone.state_dict().items()}
    assert not any(module.training for module in nano.train().backbone.modules()) and nano.edge.training
    output = nano(torch.randn(2, 3, 48, 48))
    (output.edge.sum() + output.displacement.sum()).backward()
    assert all(value.grad is None for value in nano.backbone.parameters())
    assert all(torch.equal(value, before[name]) for name, value in nano.backbone.state_dict().items())


def test_heads_share_no_parameter_and_nothing_is_left_out(nano):
    groups = nano.trainable_groups()
    edge, displacement = ({id(value) for value in groups[name]} for name in ("edge", "displacement"))
    assert not edge & displacement
    assert edge | displacement == {id(value) for value in nano.parameters() if value.requires_grad}
    nano(torch.randn(1, 3, 48, 48)).edge.sum().backward()
    assert all(value.grad is not None for value in groups["edge"])
    assert all(value.grad is None for value in groups["displacement"])


@pytest.mark.parametrize("size", [(32, 48), (37, 53), (16, 17)])
@pytest.mark.parametrize(
    "backbone",
    [
        NANO,
        {"model": "mobilenetv3_small_050"},
        {"model": "vit_tiny_patch16_224", "arguments": {"depth": 4}},
        {"model": "eva02_tiny_patch14_224", "arguments": {"depth": 4}},
    ],
    ids=lambda backbone: backbone["model"],
)
def test_any_backbone_and_any_size(backbone, size):
    net = build_irnet({"backbone": backbone, "displacement": True}).eval()
    with torch.no_grad():
        output = net(torch.randn(2, 3, *size))
        edge = edge_map(net, torch.randn(3, *size))
    grid = tuple(-(-side // 4) for side in size)
    assert output.edge.shape == (2, 1, *grid)
    assert output.displacement.shape == (2, 2, *grid)
    assert edge.shape == grid and edge.min() >= 0 and edge.max() <= 1


def test_edge_map_of_the_mirror_image_is_mirrored(nano):
    image = torch.randn(3, 32, 48)
    with torch.no_grad():
        plain, mirrored = edge_map(nano.eval(), image), edge_map(nano, image.flip(-1))
    torch.testing.assert_close(mirrored.flip(-1), plain)


def test_displacement_is_optional_and_needs_three_features():
    net = build_irnet({"backbone": NANO})
    assert net(torch.randn(1, 3, 32, 32)).displacement is None
    assert net.trainable_groups()["displacement"] == []
    with pytest.raises(ValueError, match="at least 3 features, found 2"):
        build_irnet({"backbone": {**NANO, "out_indices": [3, 4]}, "displacement": True})


def test_images_of_another_shape_are_refused(nano):
    with pytest.raises(ValueError, match=r"expected shape \(B, 3, H, W\)"):
        nano(torch.randn(3, 32, 32))
