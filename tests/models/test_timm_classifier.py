"""timm's vision transformers as classifiers."""

import pytest
import torch
from torch import nn

from wsss.models.timm_classifier import TimmClassifier

TINY = {"depth": 3, "embed_dim": 48, "num_heads": 3, "img_size": 32}
MODEL = "vit_tiny_patch16_224"


@pytest.fixture
def network() -> TimmClassifier:
    torch.manual_seed(0)
    return TimmClassifier(MODEL, 4, TINY).eval()


@pytest.mark.parametrize("size", [(32, 32), (33, 50), (1, 80)])
def test_any_size(network: TimmClassifier, size: tuple[int, int]) -> None:
    with torch.no_grad():
        output = network(torch.randn(2, 3, *size))
    height, width = (-(-side // 16) for side in size)
    assert network.stride == 16
    assert output.cnn_logits.shape == output.vit_logits.shape == (2, 4)
    assert output.class_maps.shape == (2, 4, height, width)
    assert output.attention.shape == (2, 3, height * width + 1, height * width + 1)
    torch.testing.assert_close(output.attention.sum(-1), torch.ones(output.attention.shape[:-1]))


def test_tokens_are_timms_own_features(network: TimmClassifier) -> None:
    images = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        tokens = network.backbone.forward_features(images)
        output = network(images)
    torch.testing.assert_close(output.vit_logits, network.token_head(tokens[:, 0]))
    expected = tokens[:, 1:] @ network.cam_head.weight.flatten(1).T  # (1, N, C), row-major over the grid
    torch.testing.assert_close(output.class_maps.flatten(2).transpose(1, 2), expected)
    torch.testing.assert_close(output.cnn_logits, expected.mean(1) + network.cam_head.bias)


def test_attention_is_what_the_block_applies() -> None:
    """Mixing the values by the returned attention gives the output of timm's own attention layer."""
    single = TimmClassifier(MODEL, 2, {**TINY, "num_heads": 1, "depth": 1}).eval()
    images = torch.randn(1, 3, 32, 32)
    block = single.backbone.blocks[0]
    with torch.no_grad():
        inputs = block.norm1(single.backbone._pos_embed(single.backbone.patch_embed(images)))
        values = block.attn.qkv(inputs)[..., 96:]  # (1, N+1, D)
        mixed = single(images).attention[0, 0] @ values[0]
        torch.testing.assert_close(block.attn.proj(mixed), block.attn(inputs)[0])


def test_attention_is_the_mean_over_heads(network: TimmClassifier) -> None:
    images = torch.randn(1, 3, 32, 32)
    block = network.backbone.blocks[0]
    with torch.no_grad():
        inputs = block.norm1(network.backbone._pos_embed(network.backbone.patch_embed(images)))
        query, key, _ = block.attn.qkv(inputs)[0].split(48, dim=-1)  # (N+1, D) each, heads side by side
        heads = [(query[:, i : i + 16] @ key[:, i : i + 16].T / 4).softmax(-1) for i in (0, 16, 32)]
        torch.testing.assert_close(network(images).attention[0, 0], sum(heads) / 3)


def test_attention_can_be_left_out(network: TimmClassifier) -> None:
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        without = network(images, attention=False)
        whole = network(images)
    torch.testing.assert_close(without.class_maps, whole.class_maps)
    torch.testing.assert_close(without.vit_logits, whole.vit_logits)
    assert without.attention is without.token_maps is without.features is None


def test_features_and_token_maps_are_of_the_patches(network: TimmClassifier) -> None:
    images = torch.randn(2, 3, 30, 48)
    with torch.no_grad():
        output = network(images)
        expected = network.backbone.forward_features(nn.functional.pad(images, (0, 0, 0, 2)))[:, 1:]
    torch.testing.assert_close(output.features, expected)  # (B, N, D), row after row
    assert output.token_maps is output.class_maps
    cell = network.cam_head.weight.flatten(1) @ expected[1, 1 * 3 + 2]
    torch.testing.assert_close(output.token_maps[1, :, 1, 2], cell)


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("vit_small_patch14_reg4_dinov2", {**TINY, "img_size": 28}),
        ("deit_tiny_distilled_patch16_224", TINY),
        ("vit_base_patch16_clip_224", TINY),
        ("vit_small_patch16_dinov3", {key: value for key, value in TINY.items() if key != "img_size"}),
        ("eva02_tiny_patch14_224", {**TINY, "img_size": 28}),
        (MODEL, {**TINY, "global_pool": "avg"}),
        (MODEL, {**TINY, "qk_norm": True}),
    ],
)
def test_other_members_of_the_family(model: str, arguments: dict[str, object]) -> None:
    network = TimmClassifier(model, 2, arguments).eval()
    with torch.no_grad():
        output = network(torch.randn(1, 3, 2 * network.stride, 30))
    cells = output.class_maps.shape[2] * output.class_maps.shape[3]
    assert output.attention.shape == (1, 3, cells + 1, cells + 1)
    assert (output.attention.sum(-1) <= 1 + 1e-5).all()


@pytest.mark.parametrize(
    ("model", "arguments", "found"),
    [
        ("resnet18", {}, "does not take"),
        ("vit_medium_patch16_gap_256", {}, "expected a class token"),
        (
            "swin_tiny_patch4_window7_224",
            {},
            "expected one of class VisionTransformer or Eva, found SwinTran",
        ),
        (MODEL, {**TINY, "global_pool": "map"}, "neither attention pooling"),
        ("no_such_model", {}, "timm has no model"),
    ],
)
def test_unsuitable_models_are_refused(model: str, arguments: dict[str, object], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        TimmClassifier(model, 2, arguments)


def test_parameter_groups_hold_everything_once(network: TimmClassifier) -> None:
    groups = network.parameter_groups()
    assert {id(p) for p in groups["cnn"]} == {id(p) for p in network.cam_head.parameters()}
    everything = [id(p) for group in groups.values() for p in group]
    assert sorted(everything) == sorted(id(p) for p in network.parameters())


def test_every_parameter_learns(network: TimmClassifier) -> None:
    output = network(torch.randn(1, 3, 32, 32), attention=False)
    (output.cnn_logits.sum() + output.vit_logits.sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
