"""Pretrained state dicts: names of other code, and every mismatch an error that names it."""

import pytest
import timm
import torch
from torch import Tensor, nn

from tests.support.networks import build_classifier
from wsss.models.cnn_classifier import CnnClassifier
from wsss.models.conformer import Conformer, conformer_tiny
from wsss.models.timm_classifier import TimmClassifier
from wsss.pretrained.state_dicts import WeightsError, conformer_names, load_matching, load_pretrained, unwrap

TINY_VIT = {"depth": 1, "embed_dim": 16, "num_heads": 2, "img_size": 32}
VIT = {
    "model": "vit_tiny_patch16_224",
    "arguments": TINY_VIT,
    "learns": False,
    "mean": [0] * 3,
    "std": [1] * 3,
}


def _in_mmpretrain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, value in state.items():
        prefix = "head." if "cls_head" in key else "backbone."
        for ours, theirs in [
            (".norm1.", ".ln1."),
            (".norm2.", ".ln2."),
            (".mlp.fc1.", ".ffn.layers.0.0."),
            (".mlp.fc2.", ".ffn.layers.1."),
        ]:
            key = key.replace(ours, theirs)
        renamed[prefix + key] = value
    return renamed


@pytest.fixture(scope="module")
def published() -> Conformer:
    return conformer_tiny(10, output_stride=32)


@pytest.mark.parametrize("naming", ["published", "mmpretrain"])
@pytest.mark.parametrize("output_stride", [16, 32])
def test_conformer_takes_all_but_heads_and_the_dropped_block(
    published: Conformer, naming: str, output_stride: int
) -> None:
    state = dict(published.state_dict())
    model = conformer_tiny(3, output_stride=output_stride)
    head = model.conv_cls_head.weight.clone()
    load_pretrained(model, _in_mmpretrain_names(state) if naming == "mmpretrain" else state)
    for key, value in model.state_dict().items():
        if "cls_head" not in key:
            assert torch.equal(value, state[key]), key
    assert torch.equal(model.conv_cls_head.weight, head)


def test_conformer_names_are_left_alone_when_already_right(published: Conformer) -> None:
    assert list(conformer_names(published.state_dict())) == list(published.state_dict())


def test_weights_without_block_12_do_not_fit_the_whole_network() -> None:
    with pytest.raises(WeightsError, match=r"missing conv_trans_12\.cnn_block\.conv1\.weight"):
        load_pretrained(conformer_tiny(3, output_stride=32), conformer_tiny(3).state_dict())


def test_missing_unexpected_and_misshapen_names_are_listed() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {**module.state_dict(), "stray": torch.zeros(1), "0.weight": torch.zeros(3, 1)}
    del state["1.running_mean"]
    before = module.state_dict()["0.weight"].clone()
    with pytest.raises(WeightsError) as caught:
        load_matching(module, state)
    for part in ("missing 1.running_mean", "unexpected stray", "0.weight: expected (3, 2), found (3, 1)"):
        assert part in str(caught.value)
    assert torch.equal(module[0].weight, before)


def test_ignored_prefixes_are_neither_loaded_nor_missed() -> None:
    module = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 3)})
    head = module["head"].weight.clone()
    body = {"body.weight": torch.ones(2, 2).half(), "body.bias": torch.ones(2).half()}
    state = {**body, "head.weight": torch.ones(9)}
    load_matching(module, state, ignore=["head."])
    assert torch.equal(module["body"].weight, torch.ones(2, 2))
    assert torch.equal(module["head"].weight, head)


def test_batch_counters_may_be_missing() -> None:
    module = nn.BatchNorm2d(2)
    state = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    load_matching(module, state)


def test_a_long_list_is_cut() -> None:
    with pytest.raises(WeightsError, match="stray2 and 27 more"):
        load_matching(nn.Linear(1, 1), {f"stray{i}": torch.zeros(1) for i in range(30)})


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone."])
def test_timm_weights_load_without_their_classifier(prefix: str) -> None:
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=7, **TINY_VIT)
    model = TimmClassifier("vit_tiny_patch16_224", 2, TINY_VIT)
    load_pretrained(model, {prefix + key: value for key, value in theirs.state_dict().items()})
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[key]), key


def test_torchvision_resnet_loads_into_the_cam_network() -> None:
    theirs = timm.create_model("resnet50", num_classes=5)
    model = CnnClassifier("resnet50", 2)
    load_pretrained(model, theirs.state_dict())
    assert torch.equal(model.backbone.layer4[2].conv3.weight, theirs.layer4[2].conv3.weight)


def test_heads_beside_a_prefixed_backbone_are_not_read() -> None:
    source, target = CnnClassifier("resnet18", 5), CnnClassifier("resnet18", 2)
    load_pretrained(target, source.state_dict())
    assert torch.equal(target.backbone.conv1.weight, source.backbone.conv1.weight)


def test_a_module_without_timm_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="Linear: expected a timm network"):
        load_pretrained(nn.Linear(1, 1), {})


@pytest.mark.parametrize("key", ["model", "state_dict", None])
def test_unwrap(key: str | None) -> None:
    state = {"weight": torch.ones(1)}
    checkpoint = state if key is None else {key: state, "epoch": 3, "meta": {"seed": 0}}
    assert unwrap(checkpoint) == state


@pytest.mark.parametrize("checkpoint", [{}, {"epoch": 3}])
def test_unwrap_refuses_what_holds_no_tensors(checkpoint: dict[str, int]) -> None:
    with pytest.raises(WeightsError, match="expected tensors by name"):
        unwrap(checkpoint)


@pytest.mark.parametrize(
    ("network", "stride"),
    [
        ({"kind": "conformer", "variant": "nano", "output_stride": 4, "drop_path": 0.1}, 4),
        ({"kind": "conformer", "variant": "nano", "output_stride": 16}, 16),
        ({"kind": "cnn", "model": "resnet18", "output_stride": 8, "frozen": ["layer1"]}, 8),
        ({"kind": "timm", "model": "vit_tiny_patch16_224", "arguments": TINY_VIT}, 16),
        ({"kind": "pair", "cnn": {"model": "resnet18", "output_stride": 8}, "vit": VIT}, 8),
    ],
)
def test_build_classifier(network: dict[str, object], stride: int) -> None:
    model = build_classifier({**network, "mean": [0.5] * 3, "std": [0.5] * 3}, 4).eval()
    assert model.stride == stride
    with torch.no_grad():
        output = model(torch.zeros(1, 3, 20, 40), attention=False)
    assert output.cnn_logits.shape == (1, 4)
    assert output.class_maps.shape == (1, 4, -(-20 // stride), -(-40 // stride))
    groups = model.parameter_groups()
    trainable = [id(p) for p in model.parameters() if p.requires_grad]
    assert sorted(id(p) for group in groups.values() for p in group) == sorted(trainable)
