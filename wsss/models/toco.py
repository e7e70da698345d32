"""ToCo: a vision transformer whose tokens are classified twice, compared, and decoded."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.methods.token_maps import merge_scales
from wsss.models.large_fov import LargeFOV
from wsss.models.outputs import check_images, pad_to_multiple
from wsss.models.projection import Projection
from wsss.models.timm_transformers import create_transformer


class ToCoOutput(NamedTuple):
    """One forward pass.

    Attributes:
        tokens: The last block's patch tokens after the final norm, row after row, (B, N, D).
        logits: Of the classes, by the largest value of each channel over these tokens, (B, C).
        auxiliary_logits: Likewise of the earlier block's tokens, (B, C).
        maps: The classes' evidence on each token, (B, C, h, w), N = h * w.
        auxiliary_maps: Likewise of the earlier block's, (B, C, h, w).
        pixel_logits: Logits of the decoder, background first, (B, C+1, h, w); None when not asked for.
    """

    tokens: Tensor
    logits: Tensor
    auxiliary_logits: Tensor
    maps: Tensor
    auxiliary_maps: Tensor
    pixel_logits: Tensor | None


class ToCo(nn.Module):
    """A timm transformer under two classifiers of its tokens, a decoder, and a head for whole images.

    Args:
        model: timm's name of a VisionTransformer with a class token.
        num_classes: Foreground classes C.
        arguments: Further arguments of ``timm.create_model``.
        auxiliary: Block, counted from 1, whose tokens the auxiliary classifier reads; not the last one.
        scales: Of the images that class maps are merged from, as factors.
        decoder: ``channels`` and ``dilation`` of :class:`~.large_fov.LargeFOV`.
        projection: ``hidden``, ``bottleneck`` and ``codes`` of :class:`~.projection.Projection`.

    Attributes:
        encoder: timm's network, under timm's own parameter names.
        stride: Image pixels per token.
        side: Side of all images that maps are merged of, as a graph's constant; None: theirs.
        projection: Makes codes of images that learn.
        teacher: Makes the codes that these learn from; follows ``projection`` and learns nothing itself.
    """

    encoder: Any  # one of timm's classes, which have no types

    def __init__(
        self,
        model: str,
        num_classes: int,
        *,
        auxiliary: int,
        scales: Sequence[float],
        decoder: Mapping[str, int],
        projection: Mapping[str, int],
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = create_transformer(model, arguments or {}, (VisionTransformer,))
        self.stride: int = self.encoder.patch_embed.feat_ratio()
        self.read = _blocks(model, self.encoder, auxiliary)
        self.scales = tuple(scales)
        self.side: int | None = None
        dim: int = self.encoder.embed_dim
        self.classifier = nn.Linear(dim, num_classes, bias=False)
        self.auxiliary_classifier = nn.Linear(dim, num_classes, bias=False)
        for head in (self.classifier, self.auxiliary_classifier):
            nn.init.trunc_normal_(head.weight, std=0.02)
        self.decoder = LargeFOV(dim, num_labels=num_classes + 1, **decoder)
        self.projection = Projection(dim, **projection)
        self.teacher = deepcopy(self.projection).requires_grad_(False)

    def forward(self, images: Tensor, *, decode: bool = True) -> ToCoOutput:
        """Classify images and their tokens.

        Args:
            images: Normalised images of any size, (B, 3, H, W); padded right and bottom to whole patches.
            decode: Whether to run the decoder.

        Returns:
            Tokens, logits and maps on h = ceil(H / stride) by w = ceil(W / stride) cells.
        """
        check_images(images)
        padded = pad_to_multiple(images, self.stride)
        grid = (padded.shape[2] // self.stride, padded.shape[3] // self.stride)
        (earlier, _), (tokens, _) = self._tokens(padded, self.read)
        pixel_logits = self.decoder(_on_grid(tokens, grid)) if decode else None
        return ToCoOutput(
            tokens,
            self.classifier(tokens.amax(1)),
            self.auxiliary_classifier(earlier.amax(1)),
            _on_grid(self.classifier(tokens), grid),
            _on_grid(self.auxiliary_classifier(earlier), grid),
            pixel_logits,
        )

    def class_token(self, images: Tensor) -> Tensor:
        """The class token of images after the final norm, (B, 3, H, W) -> (B, D)."""
        ((_, prefix),) = self._tokens(pad_to_multiple(images, self.stride), self.read[1:])
        return prefix[:, 0]

    def merged_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Class maps over all scales and mirror images.

        Args:
            images: Normalised images, (B, 3, H, W).

        Returns:
            Those of both classifiers, the auxiliary one's last, float32 in [0, 1], (B, C, h, w) each.
        """
        check_images(images)
        height, width = (self.side, self.side) if self.side else images.shape[2:]
        size = (-(-height // self.stride), -(-width // self.stride))
        seen = [self._pair(images, (height * scale, width * scale)) for scale in self.scales]
        main, auxiliary = zip(*seen, strict=True)
        return merge_scales(main, size), merge_scales(auxiliary, size)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """What learns, each once: ``encoder`` and ``heads``."""
        heads = (self.classifier, self.auxiliary_classifier, self.decoder, self.projection)
        return {
            "encoder": list(self.encoder.parameters()),
            "heads": [parameter for head in heads for parameter in head.parameters()],
        }

    def _pair(
        self, images: Tensor, sides: tuple[float, float]
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Upright and mirrored maps of images of about these sides, of each classifier."""
        # whole patches at every scale: padding would be spread over the image with the rest
        size = [max(1, round(side / self.stride)) * self.stride for side in sides]
        scaled = F.interpolate(images, size, mode="bilinear", align_corners=False)
        output = self(torch.cat((scaled, scaled.flip(-1))), decode=False)
        main, auxiliary = output.maps.float().chunk(2), output.auxiliary_maps.float().chunk(2)
        return (main[0], main[1]), (auxiliary[0], auxiliary[1])

    def _tokens(self, images: Tensor, blocks: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Patch tokens (B, N, D) and those before them after the given blocks and the final norm."""
        outputs = self.encoder.forward_intermediates(
            images,
            indices=[block - 1 for block in blocks],
            output_fmt="NLC",
            intermediates_only=True,
            return_prefix_tokens=True,
        )
        # Models that pool patches keep their final norm under the name fc_norm; the other one is an identity.
        norm = nn.Sequential(self.encoder.norm, self.encoder.fc_norm)
        return [(norm(patches), norm(prefix)) for patches, prefix in outputs]


def _on_grid(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, N, D) -> (B, D, h, w)."""
    return values.transpose(1, 2).unflatten(2, grid)


def _blocks(model: str, encoder: Any, auxiliary: int) -> tuple[int, int]:
    """The auxiliary block and the last one, counted from 1."""
    if encoder.cls_token is None:
        raise ValueError(f"timm model {model!r}: expected a class token, whose codes of images are compared")
    depth = len(encoder.blocks)
    if not 1 <= auxiliary < depth:
        raise ValueError(f"auxiliary: expected a block before the last of {depth}, found {auxiliary}")
    return auxiliary, depth
