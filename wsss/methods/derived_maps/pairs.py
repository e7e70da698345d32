"""What makers share that take an image and its mirror image together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsss.methods.derived_maps.contract import Config


def both_ways(classifier: Config) -> str | None:
    """What keeps a classifier from pairs: views that are not mirrored."""
    if classifier["views"]["mirror"]:
        return None
    return "an image and its mirror image together: expected views.mirror true, found false"
