"""A head that turns an image's token into a code, of which only directions are compared."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Projection(nn.Module):
    """Two hidden layers, a bottleneck of length 1, and its cosines with one direction per value of the code.

    Args:
        dim: Features D of a token.
        hidden: Units of the two hidden layers.
        bottleneck: Units of the bottleneck.
        codes: Values of a code, E.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int, codes: int) -> None:
        super().__init__()
        layers = (nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        self.directions = nn.Parameter(torch.empty(codes, bottleneck))
        nn.init.trunc_normal_(self.directions, std=0.02)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, tokens: Tensor) -> Tensor:
        """Codes of length 1, (B, D) -> float32 (B, E)."""
        reduced = F.normalize(self.layers(tokens).float(), dim=1)
        with torch.autocast(tokens.device.type, enabled=False):
            return F.normalize(reduced @ F.normalize(self.directions.float(), dim=1).T, dim=1)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Let a teacher's parameters go a step towards a student's: momentum t + (1 - momentum) s, in place."""
    for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)
