"""Pillow's bicubic resizing as tensor operations, so that an exported network can hold it: the same bytes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PRECISION = 2.0**22  # Pillow's fixed-point weights of 8-bit channels
SUPPORT = 2.0  # pixels on each side that the cubic filter reads


class PillowBicubic(nn.Module):
    """Resizes pictures to a square as ``PIL.Image.resize`` does.

    Pillow sums pixels times whole-numbered weights along one axis, then along the other, and rounds after
    each. The sums stay below 2^53, so that float64 holds them exactly, in whatever order they are added.

    Args:
        side: Of the square, in pixels.
    """

    centres: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("centres", (torch.arange(side, dtype=torch.float64) + 0.5).unsqueeze(1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Resize.

        Args:
            pictures: Whole numbers from 0 to 255, float64 (B, 3, H, W), of any size.

        Returns:
            Whole numbers from 0 to 255, float64 (B, 3, side, side).
        """
        rows, columns = _places(pictures[0, 0, :, 0]), _places(pictures[0, 0, 0])
        down, across = self._weights(rows), self._weights(columns).transpose(0, 1)
        across_first = _rounded(down @ _rounded(pictures @ across))
        down_first = _rounded(_rounded(down @ pictures) @ across)
        # Pillow 13 goes down first where the height loses more than twice the pixels; older ones never do
        shrinks, narrows = rows[-1] + 0.5 - self.side, columns[-1] + 0.5 - self.side
        return torch.where(shrinks > 2 * narrows.clamp(min=0), down_first, across_first)

    def _weights(self, places: Tensor) -> Tensor:
        """Whole-numbered weights of a line's pixels, (L,), in each pixel of the resized one: (side, L)."""
        scale = (places[-1:] + 0.5) / self.side
        weights = _cubic((places.unsqueeze(0) - self.centres * scale) / scale.clamp(min=1.0))
        return (weights / weights.sum(1, keepdim=True) * PRECISION).round()


def _places(line: Tensor) -> Tensor:
    """Centres of a line's pixels, (L,); as a tensor of its length alone, a graph follows it to any size."""
    return torch.ones_like(line).cumsum(0) - 0.5


def _cubic(distance: Tensor) -> Tensor:
    """Keys's filter with a = -0.5."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return torch.where(x < 1, near, torch.where(x < SUPPORT, far, torch.zeros_like(x)))


def _rounded(sums: Tensor) -> Tensor:
    return ((sums + PRECISION / 2) / PRECISION).floor().clamp(0, 255)
