"""DeepLab's head of a large field of view: one dilated convolution and two of single cells."""

from typing import cast

from torch import Tensor, nn


class LargeFOV(nn.Sequential):
    """Labels from a map of features, (B, D, h, w) -> logits (B, C + 1, h, w).

    Args:
        dim: Features D of a cell.
        channels: Channels between.
        num_labels: Labels with background, C + 1.
        dilation: Cells between the taps of the first, 3 x 3 convolution.
    """

    def __init__(self, dim: int, channels: int, num_labels: int, dilation: int) -> None:
        super().__init__(
            nn.Conv2d(dim, channels, 3, padding=dilation, dilation=dilation),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, num_labels, 1),
        )
        nn.init.normal_(cast(Tensor, self[-1].weight), std=0.01)  # all labels about equally likely at first
        nn.init.zeros_(cast(Tensor, self[-1].bias))
