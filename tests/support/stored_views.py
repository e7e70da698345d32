"""One view as methods of class maps read it, made up and held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tests.support.builders import random_attention
from wsss.config.classifiers import Views
from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.diffusion import coneighbour_similarity, nearest_coneighbours

GRID = (5, 6)
CHAIN = {"classifier": "mine", "method": "asked"}


class HeldTensors(NamedTuple):
    """Tensors of one view by name."""

    tensors: dict[str, Tensor]
    params: Mapping[str, Any] = {}

    def read(self, name: str) -> Tensor:
        return self.tensors[name]

    def refusal(self, said: str) -> ValueError:
        return ValueError(f"the file: {said}")


class HeldView(NamedTuple):
    """Two classes on a grid of 30 tokens."""

    cams: HeldTensors
    attention: HeldTensors
    matrix: Tensor


def make_view(neighbours: int = 20, device: torch.device | str = "cpu", **params: Any) -> HeldView:
    """A view of random raw maps and attention, of which so many co-neighbours a token are stored."""
    generator, tokens = torch.Generator().manual_seed(0), GRID[0] * GRID[1]
    names = ("cam", "tokens", "transcam")
    maps = {name: torch.randn(2, *GRID, generator=generator).to(device) for name in names}
    matrix = random_attention(tokens, 1).to(device)
    index, values = nearest_coneighbours(matrix, neighbours)
    lists = {
        "neighbours": index,
        "values": values,
        "similarities": coneighbour_similarity(matrix).gather(1, index),
        "token": torch.rand(tokens, generator=generator).to(device),
    }
    return HeldView(HeldTensors(maps, params), HeldTensors(lists), matrix)


def asked_views(**changes: Any) -> Views:
    """Settings of what is stored of a classifier's views."""
    plain = {"scales": [1.0], "mirror": False, "cached_neighbours": 20, "attention_steps": 0}
    return Views.model_validate(plain | changes)


def findings(check: Any, method: ViewsMethod, views: Mapping[str, Any], **network: Any) -> list[str]:
    """What a method's check says of a classifier's settings."""
    classifier = {"network": network, "views": asked_views(**views).model_dump()}
    return check("main", CHAIN, method.model_dump(), classifier)
