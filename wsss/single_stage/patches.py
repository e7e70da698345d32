"""What methods share whose network is a vision transformer and classifies its patches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.single_stage.contract import Config


def check_sides(
    key: str,
    name: str,
    variant: Config,
    inferences: Mapping[str, Config],
    others: Mapping[str, int] = MappingProxyType({}),
) -> list[str]:
    """Findings of images that the patches would not cover, where timm's name of the network tells the patch.

    That of a hybrid, whose patches are of a convolution's output, does not; the training refuses its sides.

    Args:
        key: Where the configuration names the variant.
        name: Its name.
        variant: Its settings, whose ``network`` has ``model`` and ``arguments``.
        inferences: Settings of the inferences that it is asked for, by name.
        others: Further sides by the keys that set them.
    """
    if not (named := re.search(r"patch(\d+)", variant["network"]["model"])):
        return []
    patch = variant["network"]["arguments"].get("patch_size") or int(named[1])
    sides = {
        f"single_stage.{name}.side": variant["side"],
        f"single_stage.{name}.training.side": variant["training"]["side"],
        **others,
    }
    sides |= {f"single_stage_inferences.{asked}.side": way["side"] for asked, way in inferences.items()}
    return [
        f"{key}: expected a multiple of the {patch} pixels of a patch of {name!r}, found {where} {side}"
        for where, side in sides.items()
        if side % patch
    ]


def on_grid(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """The patches of images as maps: (B, N, C) -> (B, C, h, w)."""
    return values.transpose(1, 2).unflatten(2, grid)
