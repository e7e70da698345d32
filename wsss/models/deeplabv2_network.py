"""DeepLabV2's network by itself, as it labels images: a timm backbone under atrous pooling."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones import TimmBackbone, build_backbone
from wsss.models.outputs import check_images

if TYPE_CHECKING:
    from wsss.config.segmenters import SegmenterNetwork

BY_BACKBONE = "by_backbone"  # a setting that the backbone decides


def channel_norm(feature: Tensor) -> Tensor:
    """Give each cell's channels mean 0 and deviation 1, without parameters: (B, D, h, w) of any scale.

    The convolutions that follow have a weight for each channel and can learn any scale again.
    """
    channels = feature.movedim(1, -1)  # (B, h, w, D)
    return F.layer_norm(channels, channels.shape[-1:], eps=1e-6).movedim(-1, 1)


NORMS: Mapping[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda feature: feature,
    "layer": channel_norm,
}
"""What is done to the feature that enters the head."""


def default_norm(backbone: TimmBackbone) -> str | None:
    """None for a residual network, as DeepLab has it, and where the features are normalised already."""
    return None if backbone.residual or backbone.uniform else "layer"


def atrous_convolutions(in_channels: int, num_classes: int, rates: Sequence[int]) -> nn.ModuleList:
    """Biased 3x3 convolutions, one for each atrous rate, drawn from N(0, 0.01) (DeepLab, section 3.2)."""
    return nn.ModuleList(_convolution(in_channels, num_classes, rate) for rate in rates)


def _convolution(in_channels: int, num_classes: int, rate: int) -> nn.Conv2d:
    """One of them, made and drawn before the next is made: that is the order of the random numbers."""
    convolution = nn.Conv2d(in_channels, num_classes, 3, padding=rate, dilation=rate)
    assert convolution.bias is not None
    nn.init.normal_(convolution.weight, std=0.01)
    nn.init.zeros_(convolution.bias)
    return convolution


def pooled(feature: Tensor, convolutions: nn.ModuleList, norm: str | None) -> Tensor:
    """Add the convolutions' outputs on a feature, (B, D, h, w), normalised by a key of :data:`NORMS`."""
    feature = NORMS[norm](feature)
    return torch.stack([convolution(feature) for convolution in convolutions]).sum(0)


class AtrousHead(nn.Module):
    """Atrous spatial pyramid pooling.

    Args:
        in_channels: Channels of the backbone's last feature.
        num_classes: Number of classes with background.
        rates: Atrous rates, one for each convolution.
        norm: Key of :data:`NORMS`.
    """

    def __init__(self, in_channels: int, num_classes: int, rates: Sequence[int], norm: str | None) -> None:
        super().__init__()
        self.norm = norm
        self.convolutions = atrous_convolutions(in_channels, num_classes, rates)

    def forward(self, feature: Tensor) -> Tensor:
        """Return logits (B, C+1, h, w) of a feature (B, D, h, w)."""
        return pooled(feature, self.convolutions, self.norm)


class DeepLabV2(nn.Module):
    """The network that a training by mmsegmentation has filled, under the same parameter names.

    Without mmsegmentation, whose import takes longer than most pictures.
    """

    def __init__(self, backbone: TimmBackbone, decode_head: AtrousHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head

    def logits(self, images: Tensor) -> Tensor:
        """Classify at one scale: (B, 3, H, W) of any size -> (B, C+1, h, w) at the backbone's stride."""
        check_images(images)
        logits: Tensor = self.decode_head(self.backbone(images)[-1])
        return logits


def build_deeplabv2(network: "SegmenterNetwork", num_labels: int) -> DeepLabV2:
    """Build the network, randomly initialised, from the settings that ``build_segmenter`` takes.

    Args:
        network: Its settings; ``multi_scale`` and ``loss`` are those of a training and not read.
        num_labels: Number of classes with background.
    """
    backbone = build_backbone(network.backbone)
    norm = default_norm(backbone) if network.norm == BY_BACKBONE else network.norm
    return DeepLabV2(backbone, AtrousHead(backbone.channels[-1], num_labels, network.rates, norm))
