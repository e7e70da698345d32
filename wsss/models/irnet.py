"""IRNet: class boundaries, and displacements to object centres, on a frozen backbone (IRN, section 4)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsss.models.backbones import TimmBackbone, build_backbone
from wsss.models.outputs import check_images

if TYPE_CHECKING:
    from wsss.config.refiners import IrnNetwork

STRIDE = 4
COARSE_STRIDE = 8
EDGE_CHANNELS = 32


class IRNetOutput(NamedTuple):
    """One forward pass of IRNet.

    Attributes:
        edge: Boundary logits, (B, 1, ceil(H/4), ceil(W/4)).
        displacement: Displacements (dy, dx) in cells on the same grid, (B, 2, ...); None without that head.
    """

    edge: Tensor
    displacement: Tensor | None


class IRNet(nn.Module):
    """Boundary head, and optionally displacement head, on a backbone that never learns.

    Args:
        backbone: Gives features at any strides, finest first.
        displacement: Whether to build the displacement head. It shares no parameter with the boundary head.
    """

    def __init__(self, backbone: TimmBackbone, displacement: bool) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).eval()
        self.edge = EdgeHead(backbone.channels, backbone.strides)
        self.displacement = DisplacementHead(backbone.channels, backbone.strides) if displacement else None

    def train(self, mode: bool = True) -> Self:
        """Switch the heads; the backbone always stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> IRNetOutput:
        """Find boundaries and displacements.

        Args:
            images: Normalised images, (B, 3, H, W), of any size.

        Returns:
            Boundary logits and displacements at a quarter of the resolution.
        """
        check_images(images)
        with torch.no_grad():
            features = self.backbone(images)
        size = images.shape[-2:]
        displacement = None if self.displacement is None else self.displacement(features, size)
        return IRNetOutput(self.edge(features, size), displacement)

    def trainable_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters of each head, which learn at different rates; ``displacement`` may be empty."""
        heads = {"edge": self.edge, "displacement": self.displacement}
        return {name: [] if head is None else list(head.parameters()) for name, head in heads.items()}


class EdgeHead(nn.Module):
    """Each feature reduced to 32 channels, brought to a quarter of the resolution, all mixed to one logit."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            Branch(count, EDGE_CHANNELS, 4, stride, STRIDE)
            for count, stride in zip(channels, strides, strict=True)
        )
        self.mix = nn.Conv2d(EDGE_CHANNELS * len(channels), 1, 1)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return logits (B, 1, ceil(H/4), ceil(W/4)) for features of images of ``size`` (H, W)."""
        reduced = [branch(feature, size) for branch, feature in zip(self.branches, features, strict=True)]
        logits: Tensor = self.mix(torch.cat(reduced, dim=1))
        return logits


class DisplacementHead(nn.Module):
    """Two fine features and a mixture of the coarse ones, mixed to a displacement field.

    The mean displacement, measured after the training, is subtracted in evaluation mode.
    """

    mean: Tensor

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        if len(channels) < 3:
            raise ValueError(f"the displacement head needs at least 3 features, found {len(channels)}")
        shapes = list(zip(channels, strides, strict=True))
        self.fine = nn.ModuleList(
            Branch(count, width, width // 8, stride, STRIDE)
            for (count, stride), width in zip(shapes, (64, 128), strict=False)
        )
        self.coarse = nn.ModuleList(
            Branch(count, 256, 16, stride, COARSE_STRIDE) for count, stride in shapes[2:]
        )
        self.merge = Branch(256 * len(self.coarse), 256, 16, COARSE_STRIDE, STRIDE)
        self.mix = nn.Sequential(
            nn.Conv2d(64 + 128 + 256, 256, 1, bias=False),
            nn.GroupNorm(16, 256),
            nn.ReLU(),
            nn.Conv2d(256, 2, 1, bias=False),
        )
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Return displacements (B, 2, ceil(H/4), ceil(W/4)) for features of images of ``size`` (H, W)."""
        fine = [branch(feature, size) for branch, feature in zip(self.fine, features[:2], strict=True)]
        coarse = [branch(feature, size) for branch, feature in zip(self.coarse, features[2:], strict=True)]
        merged = self.merge(torch.cat(coarse, dim=1), size)
        displacement: Tensor = self.mix(torch.cat([*fine, merged], dim=1))
        return displacement if self.training else displacement - self.mean[:, None, None]


class Branch(nn.Module):
    """1x1 convolution, group normalisation, resizing from one stride to another, ReLU; in this order."""

    def __init__(self, channels: int, width: int, groups: int, stride: int, wanted_stride: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, width, 1, bias=False)
        self.norm = nn.GroupNorm(groups, width)
        self.stride, self.wanted_stride = stride, wanted_stride

    def forward(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, width, ceil(H/wanted_stride), ceil(W/wanted_stride)) for images of ``size`` (H, W)."""
        reduced = self.norm(self.reduce(feature))
        return F.relu(_change_stride(reduced, self.stride, self.wanted_stride, size))


def build_irnet(network: "IrnNetwork") -> IRNet:
    """Build IRNet, its backbone randomly initialised, in training mode."""
    return IRNet(build_backbone(network.backbone), network.displacement)


def edge_map(net: IRNet, image: Tensor, *, pad_to: int | None = None) -> Tensor:
    """Find the class boundaries of one image: sigmoid of the mean logit of the image and its mirror image.

    Args:
        net: In evaluation mode.
        image: Normalised image, (3, H, W).
        pad_to: Side up to which zeros are added at the right and the bottom beforehand. IRN pads to 512,
            which changes the boundaries through the statistics of the group normalisation; None adds nothing.

    Returns:
        Boundary strength in [0, 1], (ceil(H/4), ceil(W/4)).
    """
    height, width = image.shape[-2:]
    both = torch.stack([image, image.flip(-1)])
    if pad_to is not None:
        both = F.pad(both, (0, max(pad_to - width, 0), 0, max(pad_to - height, 0)))
    edge = net(both).edge[:, 0, : -(-height // STRIDE), : -(-width // STRIDE)]
    return torch.sigmoid((edge[0] + edge[1].flip(-1)) / 2)


def _change_stride(feature: Tensor, stride: int, wanted: int, size: tuple[int, int]) -> Tensor:
    """Resize a map of one stride to another and crop what lies outside an image of ``size`` (H, W)."""
    if stride < wanted:
        window = wanted // stride
        feature = F.avg_pool2d(feature, window, ceil_mode=True, count_include_pad=False)
    elif stride > wanted:
        grid = [-(-side * stride // wanted) for side in feature.shape[-2:]]
        feature = F.interpolate(feature, grid, mode="bilinear", align_corners=False)
    return feature[..., : -(-size[0] // wanted), : -(-size[1] // wanted)]
