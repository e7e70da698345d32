"""timm's vision transformers run block by block, with the attention that each block applies.

timm's own forward pass never shows its attention. Here a block that is asked for it is run by the same
modules in the same order with the softmax written out: a pass with attention costs a pass and no more.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from timm.layers import Attention, AttentionRope
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from timm.models.eva import Eva, EvaAttention, EvaBlock
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor
from torch.nn import functional as F

from wsss.models.outputs import keep_block
from wsss.models.timm_transformers import create_transformer

BLOCKS = (Block, EvaBlock)
ATTENTIONS = (Attention, EvaAttention, AttentionRope)


class TransformerPass(NamedTuple):
    """One pass of a transformer.

    Attributes:
        tokens: Tokens of the last block after the final norm, prefix tokens first, (B, P+N, D).
        attention: Softmax attention of the L blocks, averaged over heads, (B, L, N+1, N+1), of the class
            token and the patches only: register and distillation tokens are left out, so that rows of
            networks that have them sum to less than 1. None when it was not asked for.
    """

    tokens: Tensor
    attention: Tensor | None


class HeadsPass(NamedTuple):
    """One pass of a transformer whose attention can be differentiated by.

    Attributes:
        tokens: Tokens of the last block after the final norm, prefix tokens first, (B, P+N, D).
        attention: Softmax attention of each head of the blocks from the first one wanted on, one tensor a
            block, (B, heads, P+N, P+N): the very tensors that the tokens are computed from.
    """

    tokens: Tensor
    attention: list[Tensor]


def create_attending(model: str, arguments: Mapping[str, Any]) -> Any:
    """Build a transformer whose attention can be read, without head or weights.

    Args:
        model: timm's name of a VisionTransformer (ViT, DeiT, DINO, DINOv2, CLIP) or Eva (EVA-02, DINOv3).
        arguments: Further arguments of ``timm.create_model``.

    Raises:
        ValueError: Names what the model lacks; see also
            :func:`wsss.models.timm_transformers.create_transformer`.
    """
    network = create_transformer(model, arguments, (VisionTransformer, Eva))
    if network.cls_token is None:
        raise ValueError(
            f"timm model {model!r}: expected a class token, whose attention to patches is read, found none"
        )
    for block in network.blocks:
        if not isinstance(block, BLOCKS) or not isinstance(block.attn, ATTENTIONS):
            found = f"{type(block).__name__} with {type(getattr(block, 'attn', None)).__name__}"
            raise ValueError(
                f"timm model {model!r}: expected plain pre-norm blocks ({_names(BLOCKS)}) with attention of "
                f"the kinds {_names(ATTENTIONS)}, found {found}"
            )
    return network


def run_transformer(vit: Any, images: Tensor, attention: bool) -> TransformerPass:
    """Run a transformer of :func:`create_attending`.

    Args:
        vit: The transformer.
        images: Normalised images, (B, 3, h * patch, w * patch).
        attention: Whether to return attention.
    """
    tokens, ropes = _embed(vit, images)
    stack = None
    for number, (block, rope) in enumerate(zip(vit.blocks, ropes, strict=True)):
        if attention:
            tokens, weights = _run_block(block, tokens, rope, mean=True)
            stack = keep_block(stack, number, len(vit.blocks), _without_registers(vit, weights))
        else:
            tokens = block(tokens) if rope is None else block(tokens, rope=rope)
    # Models that pool patches keep their final norm under the name fc_norm; the other one is an identity.
    return TransformerPass(vit.fc_norm(vit.norm(tokens)), stack)


def run_with_heads(vit: Any, images: Tensor, first: int) -> HeadsPass:
    """Run a transformer of :func:`create_attending` so that gradients by its attention can be asked for.

    The graph begins at block ``first``: those before it run without, and no parameter needs a gradient.
    Memory: each of the other blocks holds its attention, at scale 2 of a 500 x 375 image 0.42 GB of float32
    for 12 heads and as much again for the gradient.

    Args:
        vit: The transformer, in evaluation mode.
        images: Normalised images, (B, 3, h * patch, w * patch).
        first: Number of the first block whose attention is wanted, from 0.

    Raises:
        ValueError: If there is no such block.
    """
    if not 0 <= first < len(vit.blocks):
        raise ValueError(f"first: expected a block from 0 to {len(vit.blocks) - 1}, found {first}")
    with torch.no_grad():
        tokens, ropes = _embed(vit, images)
        for block, rope in zip(vit.blocks[:first], ropes[:first], strict=True):
            tokens = block(tokens) if rope is None else block(tokens, rope=rope)
    kept = []
    with torch.enable_grad():
        tokens = tokens.detach().requires_grad_()
        for block, rope in zip(vit.blocks[first:], ropes[first:], strict=True):
            tokens, heads = _run_block(block, tokens, rope, mean=False)
            kept.append(heads)
        return HeadsPass(vit.fc_norm(vit.norm(tokens)), kept)


def _embed(vit: Any, images: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """Tokens before the first block, (B, P+N, D), and each block's rotary embedding of the patches."""
    embedded, depth = vit._pos_embed(vit.patch_embed(images)), len(vit.blocks)
    if not isinstance(vit, Eva):
        return vit.norm_pre(embedded), [None] * depth
    tokens, rope = embedded
    mixed = vit.rope_mixed and rope is not None  # then every block has its own
    return vit.norm_pre(tokens), list(rope) if mixed else [rope] * depth


def _run_block(block: Any, tokens: Tensor, rope: Tensor | None, *, mean: bool) -> tuple[Tensor, Tensor]:
    """What the block returns, (B, P+N, D), and its attention: the heads' mean, (B, P+N, P+N), or each head's.

    Of a mean, the heads' own memory is free again before the block goes on.
    """
    mixed, weights = attend(block.attn, block.norm1(tokens), rope)
    if mean:
        weights = weights.mean(1)
    tokens = tokens + block.drop_path1(_scaled(block, 1, mixed))
    inner = block.mlp(block.norm2(tokens))
    return tokens + block.drop_path2(_scaled(block, 2, inner)), weights


def _scaled(block: Any, part: int, branch: Tensor) -> Tensor:
    """A residual branch times the block's layer scale, which Eva's blocks hold as a vector, not a module."""
    if isinstance(block, EvaBlock):
        gamma = getattr(block, f"gamma_{part}")
        return branch if gamma is None else gamma * branch
    scaled: Tensor = getattr(block, f"ls{part}")(branch)
    return scaled


def attend(attn: Any, tokens: Tensor, rope: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Run a self-attention layer of timm (one of ``ATTENTIONS``) with its softmax written out.

    Args:
        attn: The layer.
        tokens: Normalised tokens, prefix tokens first, (B, P+N, D).
        rope: Rotary embedding of the patches; prefix tokens are not rotated.

    Returns:
        What the layer returns, (B, P+N, D), and the weights each head mixed by, (B, heads, P+N, P+N).
    """
    query, key, value = _heads(attn, tokens)
    query, key = attn.q_norm(query), attn.k_norm(key)
    if rope is not None:
        query, key = (_rotated(attn, part, rope).type_as(value) for part in (query, key))
    groups = getattr(attn, "num_kv_groups", 1)  # several heads may share a key and a value
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    weights = (query * attn.scale @ key.transpose(-2, -1)).softmax(-1)  # (B, heads, P+N, P+N)
    mixed = attn.norm((attn.attn_drop(weights) @ value).transpose(1, 2).flatten(2))
    if attn.gate is not None:
        mixed = mixed * attn.gate(tokens).sigmoid()
    return attn.proj_drop(attn.proj(mixed)), weights


def _heads(attn: Any, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value, (B, heads, P+N, d) each."""
    if getattr(attn, "qkv", None) is None:
        parts = (projection(tokens) for projection in (attn.q_proj, attn.k_proj, attn.v_proj))
        query, key, value = (part.unflatten(2, (-1, attn.head_dim)).transpose(1, 2) for part in parts)
        return query, key, value
    bias = attn.qkv.bias
    if isinstance(attn, EvaAttention) and attn.q_bias is not None:
        bias = torch.cat((attn.q_bias, attn.k_bias, attn.v_bias))
    joint = F.linear(tokens, attn.qkv.weight, bias).unflatten(2, (3, attn.num_heads, -1))
    query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)
    return query, key, value


def _rotated(attn: Any, part: Tensor, rope: Tensor) -> Tensor:
    prefix, patches = part[:, :, : attn.num_prefix_tokens], part[:, :, attn.num_prefix_tokens :]
    return torch.cat([prefix, apply_rot_embed_cat(patches, rope, half=attn.rotate_half)], dim=2)


def _without_registers(vit: Any, weights: Tensor) -> Tensor:
    """Rows and columns of the class token and the patches, (B, N+1, N+1)."""
    prefix = vit.num_prefix_tokens
    if prefix == 1:
        return weights
    kept = [0, *range(prefix, weights.shape[-1])]
    return weights[:, kept][:, :, kept]


def _names(kinds: tuple[type[Any], ...]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)
