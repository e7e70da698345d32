"""Conformer, the classifier with a convolutional and a transformer branch (Peng et al., ICCV 2021).

AD-CAM drops the published network's last block (output stride 16 instead of 32) and lets no gradient cross
between the branches. State-dict names are the published ones.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.conformer_units import ConvBlock, CoupledBlock, TransformerBlock
from wsss.models.outputs import ClassifierOutput, check_images, keep_block, pad_to_multiple

STEM_STRIDE = 4
HEADS = ("trans_cls_head.", "conv_cls_head.")
VIT_PARTS = ("cls_token", "trans_norm.", "trans_cls_head.", "trans_patch_conv.", "trans_1.")
VIT_UNITS = (".squeeze_block.", ".trans_block.")
# What the transformer's head reads; on patches it is TS-CAM's own (Gao et al., ICCV 2021).
TOKEN_HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "class": nn.Linear,
    "patches": partial(nn.Conv2d, kernel_size=3, padding=1),
}

Choice = TypeVar("Choice")


class Stage(NamedTuple):
    """Blocks of one conv resolution: output channels, number of blocks, stride of the first one."""

    channels: int
    blocks: int
    stride: int


class ConformerFeatures(NamedTuple):
    """Last conv features (B, D', h, w), tokens before the final norm (B, N+1, D), their grid, attention."""

    conv: Tensor
    tokens: Tensor
    grid: tuple[int, int]
    attention: Tensor | None


class Conformer(nn.Module):
    """Two coupled branches with a head each; the conv branch gives the class maps.

    Memory: attention of L blocks is kept as (B, L, N+1, N+1), and each block holds (B, heads, N+1, N+1) while
    it runs. A 1000 x 752 image has N = 2961: 0.39 GB kept and 0.21 GB passing, in float32, for each image of
    the small variant. ``attention=False`` needs neither.

    Args:
        num_classes: Classes C of both heads.
        stages: Conv stages; the first block of the first one is ``conv_1`` beside ``trans_1``.
        dim: Token width.
        heads: Attention heads of a transformer block.
        patch: Side of a token in cells of the stem's output (1/4 of the image).
        stem_channels: Channels of the stem.
        mlp_ratio: Inner width of the transformer's MLP divided by ``dim``.
        last_stride: Stride of the very last bottleneck; 2 in the published network.
        stop_gradient: Stop gradients between the branches (AD-CAM); False is the variant AD-CAM*.
        drop_path: Stochastic depth of the last transformer block; grows linearly from 0 at the first.
        token_head: What the transformer's head reads: ``class``, a linear layer on the class token (AD-CAM),
            or ``patches``, a 3x3 convolution on the patch tokens whose mean are the logits (TS-CAM).
    """

    def __init__(
        self,
        num_classes: int,
        *,
        stages: tuple[Stage, ...],
        dim: int,
        heads: int,
        patch: int,
        stem_channels: int = 64,
        mlp_ratio: float = 4.0,
        last_stride: int = 1,
        stop_gradient: bool = True,
        drop_path: float = 0.0,
        token_head: str = "class",
    ) -> None:
        super().__init__()
        self.depth = sum(stage.blocks for stage in stages)
        self.stop_gradient = stop_gradient
        self.token_stride = STEM_STRIDE * patch
        rates = [drop_path * index / max(self.depth - 1, 1) for index in range(self.depth)]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.trans_norm = nn.LayerNorm(dim)
        self.trans_cls_head = _pick(TOKEN_HEADS, token_head, "token_head")(dim, num_classes)
        self.conv_cls_head = nn.Linear(stages[-1].channels, num_classes)
        self.conv1 = nn.Conv2d(3, stem_channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_channels)
        self.conv_1 = ConvBlock(stem_channels, stages[0].channels, project=True)
        self.trans_patch_conv = nn.Conv2d(stem_channels, dim, patch, stride=patch)
        self.trans_1 = TransformerBlock(dim, heads, mlp_ratio, rates[0])
        channels, ratio = stages[0].channels, patch
        for index, (outputs, stride) in enumerate(_block_plan(stages), start=2):
            ratio //= stride
            last = index == self.depth
            block = CoupledBlock(
                channels,
                outputs,
                dim=dim,
                heads=heads,
                mlp_ratio=mlp_ratio,
                drop_path=rates[index - 1],
                ratio=ratio,
                stride=stride,
                last_stride=last_stride if last else 1,
                stop_gradient=stop_gradient,
            )
            self.add_module(f"conv_trans_{index}", block)
            channels = outputs
        self.stride = self.token_stride // ratio * last_stride
        self.apply(_initialise)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def forward(self, images: Tensor, attention: bool = True) -> ClassifierOutput:
        """Classify images of any size; they are padded right and bottom to whole tokens.

        Args:
            images: Normalised images, (B, 3, H, W).
            attention: Whether to return attention, token maps and features; training does without and saves
                their memory.

        Returns:
            Logits (B, C) of both branches, class maps (B, C, ceil(H/stride), ceil(W/stride)), attention
            (B, L, N+1, N+1), where N = ceil(H/token_stride) * ceil(W/token_stride), features (B, N, D) and,
            of a head on patches, token maps (B, C, ceil(H/token_stride), ceil(W/token_stride)).
        """
        features = self.features(images, attention)
        head = self.conv_cls_head
        class_maps = F.conv2d(features.conv, head.weight[:, :, None, None])
        # The mean of the maps is the head on pooled features: both are linear.
        cnn_logits = class_maps.mean((2, 3)) + head.bias
        vit_logits, token_maps = self._classify_tokens(features)
        output = ClassifierOutput(cnn_logits, vit_logits, class_maps, None, map_features=features.conv)
        if not attention:
            return output
        patches = self.trans_norm(features.tokens[:, 1:])
        return output._replace(attention=features.attention, token_maps=token_maps, features=patches)

    def _classify_tokens(self, features: ConformerFeatures) -> tuple[Tensor, Tensor | None]:
        """Logits (B, C) of the transformer and, of a head on patches, its maps (B, C, h, w)."""
        head, tokens = self.trans_cls_head, features.tokens
        if isinstance(head, nn.Linear):
            return head(self.trans_norm(tokens[:, 0])), None
        patches = self.trans_norm(tokens[:, 1:]).transpose(1, 2).unflatten(2, features.grid)
        token_maps = head(patches)
        return token_maps.mean((2, 3)), token_maps

    def features(self, images: Tensor, attention: bool = True) -> ConformerFeatures:
        """Run both branches up to their heads (arguments as in ``forward``)."""
        check_images(images)
        stem = F.relu(self.bn1(self.conv1(pad_to_multiple(images, self.token_stride))))
        stem = F.max_pool2d(stem, 3, stride=2, padding=1)  # (B, stem_channels, H/4, W/4)
        conv, _ = self.conv_1(stem)
        patches = self.trans_patch_conv(stem.detach() if self.stop_gradient else stem)  # (B, D, h, w)
        grid = (patches.shape[2], patches.shape[3])
        class_token = self.cls_token.expand(len(images), -1, -1)
        tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)  # (B, N+1, D)
        tokens, weights = self.trans_1(tokens, attention)
        stack = None if weights is None else keep_block(None, 0, self.depth, weights)
        for number, block in enumerate(self.coupled_blocks(), start=1):
            conv, tokens, weights = block(conv, tokens, grid, attention)
            stack = None if weights is None else keep_block(stack, number, self.depth, weights)
        return ConformerFeatures(conv, tokens, grid, stack)

    def coupled_blocks(self) -> list[nn.Module]:
        """Blocks 2, 3, ... in order."""
        return [self.get_submodule(f"conv_trans_{index}") for index in range(2, self.depth + 1)]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters of the two branches, each once.

        Returns:
            ``cnn``: stem, conv blocks, fusion and expand units, conv head. ``vit``: class token, patch
            convolution, transformer blocks, squeeze units, final norm and class-token head.
        """
        groups: dict[str, list[nn.Parameter]] = {"cnn": [], "vit": []}
        for name, parameter in self.named_parameters():
            vit = name.startswith(VIT_PARTS) or any(unit in name for unit in VIT_UNITS)
            groups["vit" if vit else "cnn"].append(parameter)
        return groups

    def head_parameters(self) -> list[nn.Parameter]:
        """Parameters of the two heads, which start at random."""
        return [parameter for name, parameter in self.named_parameters() if name.startswith(HEADS)]

    def map_head(self) -> nn.Module:
        """The convolutional branch's head."""
        return self.conv_cls_head


def conformer_small(num_classes: int, *, output_stride: int = 16, **options: Any) -> Conformer:
    """Conformer-S/16: 37,673,424 parameters at output stride 32 with 1000 classes.

    Args:
        num_classes: Classes C of both heads.
        output_stride: 16 without the published network's last block, or 32.
        options: ``stop_gradient``, ``drop_path`` and ``token_head`` of :class:`Conformer`.
    """
    return _published(num_classes, 4, 384, 6, output_stride, options)


def conformer_tiny(num_classes: int, *, output_stride: int = 16, **options: Any) -> Conformer:
    """Conformer-Ti/16; arguments as of :func:`conformer_small`."""
    return _published(num_classes, 1, 384, 6, output_stride, options)


def conformer_base(num_classes: int, *, output_stride: int = 16, **options: Any) -> Conformer:
    """Conformer-B/16; arguments as of :func:`conformer_small`."""
    return _published(num_classes, 6, 576, 9, output_stride, options)


def conformer_nano(num_classes: int, *, output_stride: int = 4, **options: Any) -> Conformer:
    """A Conformer for small images and a CPU: 5 blocks, 6e5 parameters, tokens of output_stride pixels."""
    strides = _pick({4: (1, 1), 8: (2, 1), 16: (2, 2)}, output_stride, "output_stride")
    stages = (Stage(48, 1, 1), Stage(96, 2, strides[0]), Stage(192, 2, strides[1]))
    return Conformer(
        num_classes,
        stages=stages,
        dim=96,
        heads=3,
        patch=output_stride // STEM_STRIDE,
        stem_channels=24,
        mlp_ratio=2.0,
        **options,
    )


def _published(
    num_classes: int,
    channel_ratio: int,
    dim: int,
    heads: int,
    output_stride: int,
    options: Mapping[str, Any],
) -> Conformer:
    last_blocks, last_stride = _pick({16: (3, 1), 32: (4, 2)}, output_stride, "output_stride")
    width = 64 * channel_ratio
    return Conformer(
        num_classes,
        stages=(Stage(width, 4, 1), Stage(2 * width, 4, 2), Stage(4 * width, last_blocks, 2)),
        dim=dim,
        heads=heads,
        patch=4,
        last_stride=last_stride,
        **options,
    )


def _pick(choices: Mapping[Any, Choice], key: Any, name: str) -> Choice:
    if key not in choices:
        raise ValueError(f"{name}: expected one of {sorted(choices)}, found {key}")
    return choices[key]


def _block_plan(stages: tuple[Stage, ...]) -> list[tuple[int, int]]:
    """Channels and stride of every block after the first."""
    plan = [(s.channels, s.stride if i == 0 else 1) for s in stages for i in range(s.blocks)]
    return plan[1:]


def _initialise(module: nn.Module) -> None:
    """Start as the published code does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
