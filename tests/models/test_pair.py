"""A CNN's class maps beside a transformer's attention."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.networks import build_pair
from wsss.methods.attention import aggregate_attention
from wsss.models.attending import run_transformer
from wsss.models.pair import Pair

CNN = {"model": "resnet18", "arguments": {"channels": [8, 16, 24, 32]}, "output_stride": 16}
SMALL = {"depth": 2, "embed_dim": 48, "num_heads": 3}
COLOURS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
GREY = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
VITS = {  # by timm's name: size of the position embedding that it has
    "vit_small_patch16_224.dino": {"img_size": 32},
    "vit_small_patch8_224.dino": {"img_size": 32},
    "vit_small_patch14_dinov2": {"img_size": 28},
    "vit_small_patch14_reg4_dinov2": {"img_size": 28},
    "vit_small_patch16_dinov3": {},
    "eva02_tiny_patch14_224": {"img_size": 28},
}


def build(name: str = "vit_small_patch16_224.dino", learns: bool = False, **changes: Any) -> Pair:
    torch.manual_seed(0)
    vit = {"model": name, "arguments": {**SMALL, **VITS[name]}, "learns": learns, **GREY}
    return build_pair({"cnn": CNN, "vit": vit, **COLOURS, **changes}, 3).eval()


@pytest.mark.parametrize("size", [(64, 48), (33, 50), (1, 17)])
@pytest.mark.parametrize("name", VITS)
def test_tokens_and_cells_coincide(name: str, size: tuple[int, int]) -> None:
    pair = build(name)
    with torch.no_grad():
        output = pair(torch.randn(2, 3, *size))
    height, width = (-(-side // 16) for side in size)
    tokens = height * width
    assert pair.stride == pair.token_stride == 16
    assert output.class_maps.shape == (2, 3, height, width)
    assert output.attention.shape == (2, 2, tokens + 1, tokens + 1)
    assert output.features.shape == (2, tokens, 48)
    assert output.vit_logits is None and output.token_maps is None
    summed = aggregate_attention(output.attention[0]).sum(-1)
    torch.testing.assert_close(summed, torch.ones(tokens))


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch16_224.dino"])
def test_a_token_sees_the_pixels_of_its_cell(name: str) -> None:
    """Other pixels in one cell change one patch embedding: no neighbour's, where nothing is resized."""
    pair = build(name)
    images = torch.zeros(1, 3, 64, 80)
    other = images.clone()
    other[..., 36:44, 52:60] = 1.0  # the inside of the cell in row 2, column 3
    with torch.no_grad():
        embedded = [pair.vit.patch_embed(pair._seen(each, (4, 5))).flatten(1, 2) for each in (images, other)]
    changed = (embedded[1] - embedded[0]).abs().sum(-1)[0] > 1e-6
    assert changed.nonzero()[:, 0].tolist() == [2 * 5 + 3]


def test_each_network_sees_the_colours_that_it_expects() -> None:
    pair = build()
    picture = torch.rand(1, 3, 32, 48)  # R, G, B in 0..1

    def normalised(colours: dict[str, list[float]]) -> Tensor:
        mean, std = (torch.tensor(colours[key])[:, None, None] for key in ("mean", "std"))
        return (picture - mean) / std

    with torch.no_grad():
        output = pair(normalised(COLOURS))
        alone = run_transformer(pair.vit, normalised(GREY), attention=True)
        maps = pair.cnn(normalised(COLOURS)).class_maps
    torch.testing.assert_close(output.attention, alone.attention)
    torch.testing.assert_close(output.features, alone.tokens[:, 1:], rtol=1e-5, atol=1e-5)
    assert torch.equal(output.class_maps, maps)


def test_the_picture_is_padded_with_the_mean_colour_and_resized() -> None:
    """By hand: 16 pixels a cell become 14; a constant picture stays constant, what is added is the mean."""
    pair = build("vit_small_patch14_dinov2")
    white = (torch.ones(1, 3, 32, 24) - torch.tensor(COLOURS["mean"])[:, None, None]) / torch.tensor(
        COLOURS["std"]
    )[:, None, None]
    seen = pair._seen(white, (2, 2))
    assert seen.shape == (1, 3, 28, 28)
    torch.testing.assert_close(seen[..., :20], torch.ones(1, 3, 28, 20))  # (1 - 0.5) / 0.5
    torch.testing.assert_close(seen[..., 22:], torch.zeros(1, 3, 28, 6))


def test_a_transformer_that_does_not_learn_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = build().train()
    assert pair.training and pair.cnn.training and not any(m.training for m in pair.vit.modules())
    groups = pair.parameter_groups()
    assert groups["vit"] == []
    assert {id(p) for p in groups["cnn"]} == {id(p) for p in pair.cnn.parameters()}
    output = pair(torch.randn(2, 3, 32, 32))
    assert not output.attention.requires_grad and not output.features.requires_grad
    monkeypatch.setattr("wsss.models.pair.run_transformer", lambda *_: pytest.fail("the transformer ran"))
    output = pair(torch.randn(2, 3, 32, 32), attention=False)
    assert output.vit_logits is output.attention is output.features is None
    output.cnn_logits.sum().backward()
    assert all(p.grad is not None for p in groups["cnn"])
    assert {id(p) for p in pair.head_parameters()} == {id(p) for p in pair.cnn.classifier.parameters()}


@pytest.mark.parametrize("attention", [True, False])
def test_the_branches_of_a_learning_pair_share_nothing(attention: bool) -> None:
    pair = build(learns=True).train()
    assert pair.vit.training
    output = pair(torch.randn(2, 3, 32, 32), attention=attention)
    assert output.vit_logits.shape == (2, 3) and (output.attention is not None) == attention
    groups = pair.parameter_groups()
    for name, logits in (("cnn", output.cnn_logits), ("vit", output.vit_logits)):
        pair.zero_grad()
        logits.square().sum().backward()
        reached = {id(p) for p in pair.parameters() if p.grad is not None}
        assert reached == {id(p) for p in groups[name]}, name
    assert len(groups["cnn"]) + len(groups["vit"]) == len(list(pair.parameters()))
    assert len(pair.head_parameters()) == 3


def test_logits_and_maps_are_the_same_without_attention() -> None:
    pair = build(learns=True)
    images = torch.randn(1, 3, 40, 32)
    with torch.no_grad():
        whole, without = pair(images), pair(images, attention=False)
    assert torch.equal(whole.class_maps, without.class_maps)
    torch.testing.assert_close(whole.vit_logits, without.vit_logits)


def test_the_state_holds_both_networks() -> None:
    source, target = build(learns=True), build(learns=True)
    for parameter in target.parameters():
        torch.nn.init.zeros_(parameter)
    target.load_state_dict(source.state_dict())
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        for one, other in zip(source(images), target(images), strict=True):
            assert one is other is None or torch.equal(one, other)
    assert {name.split(".")[0] for name in source.state_dict()} == {"cnn", "vit", "token_head"}


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"'vit_medium_patch16_gap_256': expected a class token"):
        build(vit={"model": "vit_medium_patch16_gap_256", "learns": False, **GREY})
    with pytest.raises(ValueError, match=r"'densenet121' does not take .*output_stride"):
        build(cnn={"model": "densenet121"})
    with pytest.raises(ValueError, match="expected shape"):
        build()(torch.zeros(1, 4, 32, 32))
