"""How many bytes a stage writes for an image of H x W pixels that shows K classes.

N tokens and n cells of class maps are the sides of a view (each scale, twice where mirrored), divided by
the network's strides, rounded up and multiplied. The first three are the arrays themselves, the last is an
estimate.

- attention: 4 N m + 2 N a view, for index and value of m cached neighbours and the class token's attention;
  2 N m more with cached similarities
- cams: 2 K n (1 + S) a view, class maps before and after each of S attention steps; 2 K n more for the class
  maps of tokens, of networks that have them, and again for those of transcam
- derived cams: 2 K n a view, or a pair of views, on the maker's grid; no attention
- maps of a method, or after the walk: 2 K ceil(H/4) ceil(W/4)
- a label map: 900 + H W / 20, a PNG's palette and its pixels, in whole blocks of 4096
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from wsss.config.systems import Config
from wsss.config.views import Size, cells, strides
from wsss.methods.class_maps.tscam import token_maps_of
from wsss.methods.derived_maps.registry import ON_TOKENS, PAIRED

NUMBER = 2  # bytes of a float16, and of a neighbour's index
GRID = 4  # pixels a cell of stored maps
BLOCK = 4096  # bytes, which a small file takes at least


def derived_bytes(size: Size, classes: float, network: Config, views: Config, kind: str) -> float:
    """Of ``derive_maps``: one map a class of each view, or of each pair of them."""
    token, cell = strides(network)
    stride = token if ON_TOKENS[kind] and token else cell
    stored = {**views, "mirror": views["mirror"] and not PAIRED[kind]}
    return NUMBER * classes * sum(_grids(size, stride, stored))


def attention_bytes(size: Size, network: Config, views: Config) -> float:
    """Of ``extract_maps``: neighbours and class attention of all views."""
    stride, stored = strides(network).token, views["cached_neighbours"]
    if stride is None:
        return 0
    planes = 3 if views["cache_similarity"] else 2
    grids = list(_grids(size, stride, views))
    return sum(NUMBER * tokens * (planes * _neighbours(stored, tokens) + 1) for tokens in grids)


def _neighbours(stored: float | Config, tokens: int) -> int:
    if isinstance(stored, Mapping):
        return max(_neighbours(stored[key], tokens) for key in ("at_least", "fraction"))
    return max(1, round(stored * tokens)) if stored < 1 else min(int(stored), tokens)


def cam_bytes(size: Size, classes: float, network: Config, views: Config) -> float:
    """Of ``extract_maps``: raw class maps of all views, and what it makes of them with the attention."""
    token, cell = strides(network)
    tokens = token_maps_of(network["kind"], network.get("token_head")) == "tokens"
    made = views["attention_steps"] + views.get("transcam", False) + tokens
    return NUMBER * classes * (1 + (0 if token is None else made)) * sum(_grids(size, cell, views))


def _grids(size: Size, stride: int, views: Config) -> Iterator[int]:
    """Cells of each view."""
    for scale in views["scales"]:
        yield from [cells(size, stride, scale)] * (2 if views["mirror"] else 1)


def map_bytes(size: Size, classes: float) -> float:
    """Of a method, of the walk and of single stages: one map a class."""
    return NUMBER * classes * math.ceil(size[0] / GRID) * math.ceil(size[1] / GRID)


def label_bytes(size: Size) -> float:
    """Of a palette PNG."""
    return BLOCK * math.ceil((900 + size[0] * size[1] / 20) / BLOCK)
