"""timm's transformers block by block: the attention is what each block really applies, by architecture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wsss.models.attending import attend, create_attending, run_transformer, run_with_heads

SMALL = {"depth": 3, "embed_dim": 48, "num_heads": 3}
FAMILY = {  # by timm's name: arguments, patch, prefix tokens
    "vit_tiny_patch16_224": ({"img_size": 32}, 16, 1),
    "vit_small_patch16_224.dino": ({"img_size": 32}, 16, 1),
    "vit_small_patch14_dinov2": ({"img_size": 28}, 14, 1),
    "vit_small_patch14_reg4_dinov2": ({"img_size": 28}, 14, 5),
    "vit_small_patch16_dinov3": ({}, 16, 5),
    "vit_small_patch16_dinov3_qkvb": ({}, 16, 5),
    "vit_small_plus_patch16_dinov3": ({}, 16, 5),
    "eva02_tiny_patch14_224": ({"img_size": 28}, 14, 1),
    "vit_small_patch16_rope_mixed_224": ({"img_size": 32}, 16, 1),
    "deit_tiny_distilled_patch16_224": ({"img_size": 32}, 16, 2),
    "vit_base_patch16_clip_224": ({"img_size": 32}, 16, 1),
}


@pytest.fixture(params=FAMILY)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def build(name: str, **more: Any) -> Any:
    torch.manual_seed(0)
    vit = create_attending(name, {**SMALL, **FAMILY[name][0], **more}).double().eval()
    for parameter in vit.parameters():  # timm starts layer scales and biases at next to nothing
        nn.init.normal_(parameter, std=0.2) if parameter.ndim > 1 else nn.init.normal_(parameter, 0.5, 0.2)
    return vit


def pictures(name: str, count: int = 2) -> Tensor:
    patch = FAMILY[name][1]
    return torch.randn(count, 3, 2 * patch, 3 * patch, dtype=torch.float64)


@contextmanager
def seen_by_timm(vit: Any) -> Iterator[list[Tensor]]:
    """The attention of each head of each block, as timm's own unfused layers hand it to their dropout."""
    seen: list[Tensor] = []
    for block in vit.blocks:
        block.attn.fused_attn = False
    hooks = [
        block.attn.attn_drop.register_forward_hook(lambda layer, given, result: seen.append(result))
        for block in vit.blocks
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def test_attention_is_what_timms_own_layers_apply(name: str) -> None:
    vit, images = build(name), pictures(name)
    prefix = FAMILY[name][2]
    with torch.no_grad(), seen_by_timm(vit) as seen:
        vit.forward_features(images)
        heads = torch.stack(seen, dim=1)  # (B, L, heads, P+N, P+N)
        found = run_transformer(vit, images, attention=True).attention
    kept = [0, *range(prefix, prefix + 6)]
    assert vit.num_prefix_tokens == prefix
    torch.testing.assert_close(heads.sum(-1), torch.ones_like(heads[..., 0]))
    torch.testing.assert_close(found, heads.mean(2)[:, :, kept][..., kept], rtol=1e-9, atol=1e-12)


def test_tokens_are_timms_own_with_attention_and_without(name: str) -> None:
    vit, images = build(name), pictures(name)
    with torch.no_grad():
        expected = vit.fc_norm(vit.forward_features(images))
        for attention in (True, False):
            found = run_transformer(vit, images, attention)
            torch.testing.assert_close(found.tokens, expected, rtol=1e-9, atol=1e-9)
            assert (found.attention is None) is not attention


def test_rows_of_all_tokens_sum_to_one(name: str) -> None:
    vit, images = build(name), pictures(name, 1)
    seen = vit._pos_embed(vit.patch_embed(images))
    tokens, rope = seen if isinstance(seen, tuple) else (seen, None)
    rope = rope[0] if rope is not None and vit.rope_mixed else rope
    with torch.no_grad():
        mixed, heads = attend(vit.blocks[0].attn, tokens, rope)
        direct = vit.blocks[0].attn(tokens) if rope is None else vit.blocks[0].attn(tokens, rope=rope)
    count = FAMILY[name][2] + 6
    assert heads.shape == (1, 3, count, count)
    torch.testing.assert_close(heads.sum(-1), torch.ones(1, 3, count, dtype=torch.float64))
    torch.testing.assert_close(mixed, direct, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "eva02_tiny_patch14_224"])
def test_rotary_embedding_is_in_the_attention(name: str) -> None:
    """Patches of one colour differ by their place alone, which only the rotation tells these networks."""
    vit = build(name, use_abs_pos_emb=False)
    patch = FAMILY[name][1]
    plain = torch.ones(1, 3, 2 * patch, 3 * patch, dtype=torch.float64)
    with torch.no_grad():
        rows = run_transformer(vit, plain, attention=True).attention[0, 0, 1:, 1:]
        vit.rope = None
        unrotated = run_transformer(vit, plain, attention=True).attention[0, 0, 1:, 1:]
    assert float(rows.std(-1).min()) > 1e-3
    torch.testing.assert_close(unrotated, unrotated[:1, :1].expand_as(unrotated))


def test_a_case_worked_by_hand() -> None:
    """One head of width 2 whose queries and keys are the tokens: weights are softmax(x x^T / sqrt 2)."""
    vit = create_attending(
        "vit_tiny_patch16_224", {"depth": 1, "embed_dim": 2, "num_heads": 1, "img_size": 16}
    )
    attn = vit.blocks[0].attn
    with torch.no_grad():
        attn.qkv.weight.copy_(torch.cat([torch.eye(2)] * 3))
        attn.qkv.bias.zero_()
        attn.proj.weight.copy_(torch.eye(2))
        attn.proj.bias.zero_()
        tokens = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
        mixed, weights = attend(attn, tokens)
    first, second = (torch.tensor(scores).div(2**0.5).exp() for scores in ([1.0, 0.0], [0.0, 4.0]))
    expected = torch.stack([first / first.sum(), second / second.sum()])
    torch.testing.assert_close(weights[0, 0], expected)
    torch.testing.assert_close(mixed[0], expected @ tokens[0])


def test_heads_may_share_keys_and_values() -> None:
    more = {"attn_type": "rope", "qkv_fused": False, "num_kv_heads": 1, "gated_attn": True}
    vit = create_attending("vit_small_patch16_dinov3", SMALL)
    block = type(vit.blocks[0])(48, 3, num_prefix_tokens=5, norm_layer=nn.LayerNorm, **more).double().eval()
    tokens = torch.randn(2, 11, 48, dtype=torch.float64)
    with torch.no_grad():
        mixed, weights = attend(block.attn, tokens)
        torch.testing.assert_close(mixed, block.attn(tokens), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 11, dtype=torch.float64))


def test_the_attention_of_the_heads_is_what_the_tokens_are_computed_from(name: str) -> None:
    """The same pass as ever, its mean over heads as ever; no parameter has to learn."""
    vit, images = build(name).requires_grad_(False), pictures(name)
    prefix = FAMILY[name][2]
    expected = run_transformer(vit, images, attention=True)
    assert expected.attention is not None
    with torch.no_grad():  # what asks for gradients turns them on
        found = run_with_heads(vit, images, first=1)
    torch.testing.assert_close(found.tokens, expected.tokens, rtol=1e-9, atol=1e-9)
    kept = [0, *range(prefix, prefix + 6)]
    for number, heads in enumerate(found.attention, start=1):
        mean = heads.mean(1)[:, kept][..., kept]
        torch.testing.assert_close(mean, expected.attention[:, number], rtol=1e-9, atol=1e-12)
    gradients = torch.autograd.grad(found.tokens[:, 0].square().sum(), found.attention)
    assert len(gradients) == 2 and all(gradient.any() for gradient in gradients)


@contextmanager
def nudged(vit: Any, block: int, at: tuple[int, ...], by: float) -> Iterator[None]:
    """One entry of a block's attention (B, heads, P+N, P+N) moved, behind the softmax."""

    def nudge(layer: nn.Module, given: Any, weights: Tensor) -> Tensor:
        moved = weights.clone()
        moved[at] += by
        return moved

    hook = vit.blocks[block].attn.attn_drop.register_forward_hook(nudge)
    yield
    hook.remove()


@pytest.mark.parametrize("block", [1, 2])
@pytest.mark.parametrize("row", [0, 3])
def test_gradients_by_the_attention_are_finite_differences(name: str, block: int, row: int) -> None:
    """Of one entry, through all that follows it; in the last block the class token's row alone matters."""
    vit, images = build(name), pictures(name, 1)
    at, step = (0, 2, row, FAMILY[name][2] + 3), 1e-5

    def score() -> Tensor:
        return run_transformer(vit, images, attention=True).tokens[:, 0].square().sum()

    with torch.no_grad():
        ends = []
        for by in (step, -step):
            with nudged(vit, block, at, by):
                ends.append(score())
    found = run_with_heads(vit, images, first=1)
    gradients = torch.autograd.grad(found.tokens[:, 0].square().sum(), found.attention)
    by_differences = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(gradients[block - 1][at], by_differences, rtol=1e-4, atol=1e-7)
    assert (by_differences == 0) == (block == 2 and row == 3)


def test_blocks_before_the_first_wanted_have_no_graph(name: str) -> None:
    vit, images = build(name), pictures(name)
    found = run_with_heads(vit, images, first=1)
    found.tokens.sum().backward()
    assert all(parameter.grad is None for parameter in vit.blocks[0].parameters())
    assert vit.blocks[1].norm1.weight.grad is not None


@pytest.mark.parametrize("first", [-1, 3])
def test_a_block_that_there_is_not_is_refused(first: int) -> None:
    name = "vit_tiny_patch16_224"
    with pytest.raises(ValueError, match=f"first: expected a block from 0 to 2, found {first}"):
        run_with_heads(build(name), pictures(name), first)


@pytest.mark.parametrize("attention", [True, False])
def test_every_block_learns(name: str, attention: bool) -> None:
    vit = build(name)
    run_transformer(vit.train(), pictures(name), attention).tokens.sum().backward()
    assert all(block.norm1.weight.grad is not None for block in vit.blocks)


@pytest.mark.parametrize(
    ("model", "arguments", "found"),
    [
        ("vit_medium_patch16_gap_256", {}, "expected a class token, whose attention to patches is read"),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}, "expected a class token"),
        (
            "eva02_tiny_patch14_224",
            {"use_post_norm": True},
            "expected plain pre-norm blocks .* EvaBlockPostNorm",
        ),
        ("vit_small_patch16_18x2_224", {}, "found ParallelThingsBlock"),
        (
            "swin_tiny_patch4_window7_224",
            {},
            "expected one of class VisionTransformer or Eva, found SwinTrans",
        ),
        ("resnet18", {}, "does not take"),
    ],
)
def test_what_a_model_lacks_is_named(model: str, arguments: dict[str, Any], found: str) -> None:
    with pytest.raises(ValueError, match=rf"timm model '{model}'.*{found}"):
        create_attending(model, arguments)
