"""GETAM: attention of the class token times its gradient, by class (Sun et al., 2021).

The mathematics is ``wsss.methods.gradient_attention``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from wsss.config.errors import ConfigError
from wsss.config.fields import Count
from wsss.config.fields import Settings as Group
from wsss.methods.derived_maps.contract import BATCH_PIXELS

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.derived_maps.contract import Config, Subject

TITLE = "GETAM"
ON_TOKENS = True
PAIRED = False


class Settings(Group):
    """Gradient times attention of a transformer's class token (GETAM)."""

    kind: Literal["getam"]
    first_block: Count = 7
    """Number of the first block that is read, counted from 1; GETAM has the last six of twelve."""


def check(classifier: Config) -> str | None:
    """A class token's logits have to come of attention that can be differentiated by."""
    kind = classifier["network"]["kind"]
    if kind == "timm":
        return None
    return f"attention behind a class token's logits: expected a network of kind timm, found {kind}"


def groups(classifier: Any, settings: Config) -> list[dict[str, Any]]:
    """Nothing learns."""
    return []


def maps(classifier: Any, subject: Subject, groups: list[dict[str, Any]], settings: Config) -> list[Tensor]:
    """Maps of each view, an image and its mirror image in one batch, (K, h, w)."""
    first, depth = settings["first_block"], len(classifier.backbone.blocks)
    if first > depth:
        raise ConfigError(f"maps.first_block: expected a block from 1 to {depth}, found {first}")
    return [view for image in subject.images for view in _both(classifier, image, subject, first)]


def _both(classifier: Any, image: Tensor, subject: Subject, first: int) -> Tensor:
    """Maps of one scale, (1 or 2, K, h, w)."""
    import torch

    from wsss.methods.gradient_attention import gradient_maps

    images = torch.stack([image, image.flip(-1)] if subject.mirror else [image])
    grid = [math.ceil(side / classifier.token_stride) for side in image.shape[1:]]
    found = []
    for part in images.split(max(1, BATCH_PIXELS // image[0].numel())):
        seen = classifier.attention_by_class(part, first - 1)
        found.append(gradient_maps(seen.logits, seen.attention, subject.classes, prefix=seen.prefix))
    return torch.cat(found).unflatten(2, grid)  # from (1 or 2, K, N)
