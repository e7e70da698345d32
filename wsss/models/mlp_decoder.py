"""The decoder of SegFormer (section 3.2 there) on blocks of a vision transformer."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLPDecoder(nn.Module):
    """Each block reduced by its own linear layer, all mixed, normalised and classified, patch by patch.

    The blocks of a plain transformer share one grid, so that SegFormer's resizing has nothing to do here.

    Args:
        blocks: Number of blocks that are read.
        dim: Features D of a patch.
        channels: Channels E that each block is reduced to, and of their mixture.
        num_labels: Labels with background, C + 1.
        dropout: Share of the mixture's channels that training sets to zero in an image; as SegFormer.
    """

    def __init__(self, blocks: int, dim: int, channels: int, num_labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Linear(dim, channels) for _ in range(blocks))
        self.mix = nn.Conv2d(blocks * channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(channels, num_labels, 1)
        nn.init.normal_(self.classify.weight, std=0.01)  # all labels about equally likely at first
        nn.init.zeros_(cast(Tensor, self.classify.bias))

    def forward(self, blocks: list[Tensor], grid: tuple[int, int]) -> Tensor:
        """Classify the patches.

        Args:
            blocks: Normalised patch features of each block, row after row, (B, N, D) each.
            grid: Rows and columns (h, w) of the patches, h * w = N.

        Returns:
            Logits, background first, (B, C + 1, h, w).
        """
        reduced = [reduce(block) for reduce, block in zip(self.reduce, blocks, strict=True)]
        maps = torch.cat(reduced, dim=-1).transpose(1, 2).unflatten(2, grid)  # (B, blocks * E, h, w)
        mixed = F.relu(self.norm(self.mix(maps)))
        logits: Tensor = self.classify(self.dropout(mixed))
        return logits
