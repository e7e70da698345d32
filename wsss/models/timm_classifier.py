"""Any vision transformer of timm as a classifier with class maps from its patch tokens."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.outputs import ClassifierOutput, check_images, keep_block, pad_to_multiple
from wsss.models.timm_transformers import create_transformer


class TimmClassifier(nn.Module):
    """A timm VisionTransformer with two heads: 1x1 convolution on patch tokens, linear on the class token.

    Both heads read the normalised tokens of the last block. Position embeddings are interpolated to the
    image's grid. Memory of the attention: see ``Conformer``; a 512 x 512 image at patch 16 has N = 1024.

    Args:
        model: timm's name of the model, without a weights tag or with one.
        num_classes: Classes C of both heads.
        arguments: Further arguments of ``timm.create_model``, for example ``drop_path_rate``.
    """

    def __init__(self, model: str, num_classes: int, arguments: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.backbone = _create(model, arguments or {})
        self.stride: int = self.backbone.patch_embed.patch_size[0]
        self.token_stride = self.stride
        self.cam_head = nn.Conv2d(self.backbone.embed_dim, num_classes, 1)
        self.token_head = nn.Linear(self.backbone.embed_dim, num_classes)
        for parameter in (*self.cam_head.parameters(), *self.token_head.parameters()):
            nn.init.zeros_(parameter) if parameter.ndim == 1 else nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images of any size; they are padded right and bottom to whole patches.

        Args:
            images: Normalised images, (B, 3, H, W).
            attention: Whether to return attention; training does without and saves its memory.

        Returns:
            Logits (B, C) of both heads, class maps (B, C, h, w) with h = ceil(H / patch), and attention
            (B, L, N+1, N+1) between class token and patches: register and distillation tokens are left out,
            so that rows of networks that have them sum to less than 1.
        """
        check_images(images)
        padded = pad_to_multiple(images, self.stride)
        grid = (padded.shape[2] // self.stride, padded.shape[3] // self.stride)
        tokens, weights = self._run_blocks(padded, attention)
        patches = tokens[:, self.backbone.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid)
        class_maps = F.conv2d(patches, self.cam_head.weight)  # (B, C, h, w)
        cnn_logits = self.cam_head(patches.mean((2, 3), keepdim=True)).flatten(1)  # (B, C)
        return ClassifierOutput(cnn_logits, self.token_head(tokens[:, 0]), class_maps, weights)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters, each once: ``cnn`` is the head of the class maps, ``vit`` all the rest."""
        cnn = list(self.cam_head.parameters())
        vit = [*self.backbone.parameters(), *self.token_head.parameters()]
        return {"cnn": cnn, "vit": [parameter for parameter in vit if parameter.requires_grad]}

    def _run_blocks(self, images: Tensor, attention: bool) -> tuple[Tensor, Tensor | None]:
        """Normalised tokens of the last block, (B, P+N, D), and the attention of every block or None."""
        vit = self.backbone
        tokens = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
        stack = None
        for number, block in enumerate(vit.blocks):
            if attention:
                weights = _block_attention(block, tokens, vit.num_prefix_tokens)
                stack = keep_block(stack, number, len(vit.blocks), weights)
            tokens = block(tokens)
        # Models that pool patches keep their final norm under the name fc_norm; the other one is an identity.
        return vit.fc_norm(vit.norm(tokens)), stack


def _block_attention(block: Block, tokens: Tensor, prefix: int) -> Tensor:
    """Head-averaged attention of a block, (B, N+1, N+1), of the class token and the patches only."""
    attn = block.attn
    split = attn.qkv(block.norm1(tokens)).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    query, key = attn.q_norm(split[0]), attn.k_norm(split[1])  # (B, heads, P+N, d) each
    weights = (query @ key.transpose(-2, -1) * attn.scale).softmax(-1).mean(1)
    kept = torch.arange(weights.shape[-1], device=weights.device)
    kept = kept[(kept == 0) | (kept >= prefix)]
    return weights[:, kept][:, :, kept]


def _create(model: str, arguments: Mapping[str, Any]) -> VisionTransformer:
    """Build the transformer without weights, or say why this model cannot serve."""
    network = create_transformer(model, arguments)
    if network.cls_token is None:
        raise ValueError(f"timm model {model!r}: expected a class token, found none")
    if not all(isinstance(block, Block) and isinstance(block.attn, Attention) for block in network.blocks):
        raise ValueError(f"timm model {model!r}: expected plain pre-norm blocks, found another kind")
    return network
