"""Any vision transformer of timm as a classifier with class maps from its patch tokens."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.attending import create_attending, run_transformer, run_with_heads
from wsss.models.outputs import AttentionByClass, ClassifierOutput, check_images, pad_to_multiple


class TimmClassifier(nn.Module):
    """A timm VisionTransformer or Eva under two heads: 1x1 convolution on patches, linear on class token.

    Both heads read the normalised tokens of the last block. Position embeddings are interpolated to the
    image's grid. Memory of the attention: see ``Conformer``; a 512 x 512 image at patch 16 has N = 1024.

    Args:
        model: timm's name of the model, without a weights tag or with one.
        num_classes: Classes C of both heads.
        arguments: Further arguments of ``timm.create_model``, for example ``drop_path_rate``.
    """

    backbone: Any  # one of several classes of timm, which has no types

    def __init__(self, model: str, num_classes: int, arguments: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.backbone = create_attending(model, arguments or {})
        self.stride: int = self.backbone.patch_embed.feat_ratio()
        self.token_stride = self.stride
        self.cam_head = nn.Conv2d(self.backbone.embed_dim, num_classes, 1)
        self.token_head = nn.Linear(self.backbone.embed_dim, num_classes)
        for parameter in self.head_parameters():
            nn.init.zeros_(parameter) if parameter.ndim == 1 else nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images of any size; they are padded right and bottom to whole patches.

        Args:
            images: Normalised images, (B, 3, H, W).
            attention: Whether to return attention and features; training does without and saves their memory.

        Returns:
            Logits (B, C) of both heads, class maps (B, C, h, w) with h = ceil(H / patch), which stand for the
            tokens' maps as well, attention (B, L, N+1, N+1) as of ``TransformerPass`` and features (B, N, D).
        """
        check_images(images)
        padded = pad_to_multiple(images, self.stride)
        grid = (padded.shape[2] // self.stride, padded.shape[3] // self.stride)
        tokens, weights = run_transformer(self.backbone, padded, attention)
        features = tokens[:, self.backbone.num_prefix_tokens :]  # (B, N, D)
        patches = features.transpose(1, 2).unflatten(2, grid)
        class_maps = F.conv2d(patches, self.cam_head.weight)  # (B, C, h, w)
        cnn_logits = self.cam_head(patches.mean((2, 3), keepdim=True)).flatten(1)  # (B, C)
        vit_logits = self.token_head(tokens[:, 0])
        return ClassifierOutput(
            cnn_logits,
            vit_logits,
            class_maps,
            weights,
            features=features if attention else None,
            map_features=patches,
        )

    def attention_by_class(self, images: Tensor, first: int) -> AttentionByClass:
        """Class-token logits and the attention that they can be differentiated by.

        Args:
            images: As for :meth:`forward`.
            first: Number of the first block whose attention is wanted, from 0.
        """
        check_images(images)
        tokens, attention = run_with_heads(self.backbone, pad_to_multiple(images, self.stride), first)
        return AttentionByClass(self.token_head(tokens[:, 0]), attention, self.backbone.num_prefix_tokens)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters, each once: ``cnn`` is the head of the class maps, ``vit`` all the rest."""
        cnn = list(self.cam_head.parameters())
        vit = [*self.backbone.parameters(), *self.token_head.parameters()]
        return {"cnn": cnn, "vit": [parameter for parameter in vit if parameter.requires_grad]}

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the two heads, which start at random."""
        return [*self.cam_head.parameters(), *self.token_head.parameters()]

    def map_head(self) -> nn.Module:
        """The head on patch tokens."""
        return self.cam_head
