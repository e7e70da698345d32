"""AdvCAM: class maps summed while the image climbs to its class (Lee et al., CVPR 2021, as its code runs).

The mathematics is ``wsss.methods.climbing``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from wsss.config.fields import Count, NotNegative, Positive, Unit
from wsss.config.fields import Settings as Group
from wsss.methods.derived_maps.contract import BATCH_PIXELS
from wsss.methods.derived_maps.pairs import both_ways as check

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.derived_maps.contract import Config, Subject

__all__ = ["ON_TOKENS", "PAIRED", "TITLE", "Settings", "check", "groups", "maps"]

TITLE = "AdvCAM"
ON_TOKENS = False
PAIRED = True


class Settings(Group):
    """Class maps summed while the image climbs to its class (AdvCAM)."""

    kind: Literal["advcam"]
    steps: Count = 27
    """Maps that are summed, the first of the image as it is."""
    small_steps: Count = 13
    """The same at scales below 1."""
    step: Positive = 0.08
    """By how much the pixel of the largest gradient moves, in normalised units; AdvCAM's code."""
    weight: NotNegative = 7.0
    """Of the difference from the first map, where the map is strong (lambda)."""
    threshold: Unit = 0.5
    """Share of a map's maximum above which it is strong."""
    lambda_scale: Literal["reference", "unit"] = "reference"
    """What maps are divided by to be compared: AdvCAM's own, or their first maximum, with another weight."""


def groups(classifier: Any, settings: Config) -> list[dict[str, Any]]:
    """Nothing learns."""
    return []


def maps(classifier: Any, subject: Subject, groups: list[dict[str, Any]], settings: Config) -> list[Tensor]:
    """Sum of the maps on the way, of each scale, (K, h, w)."""
    from wsss.methods.climbing import positive_weights

    positive = positive_weights(classifier.map_head().weight.detach())
    views = zip(subject.images, subject.scales, strict=True)
    return [_climbed(classifier, image, subject.classes, positive, scale, settings) for image, scale in views]


def _climbed(
    classifier: Any, image: Tensor, classes: Any, positive: Tensor, scale: float, settings: Config
) -> Tensor:
    """Maps of one scale, (K, h, w): as many classes at a time as fit a batch, since none touches another."""
    import torch

    from wsss.methods.climbing import Climb, climb

    steps = settings["steps"] if scale >= 1 else settings["small_steps"]
    shared = {key: settings[key] for key in ("step", "weight", "threshold", "lambda_scale")}
    rows = max(1, BATCH_PIXELS // (2 * image.shape[1] * image.shape[2]))
    parts = torch.tensor(classes, device=image.device).split(rows)
    found = [
        climb(
            lambda images: classifier(images, attention=False).class_maps,
            image.expand(len(part), -1, -1, -1),
            part,
            positive,
            Climb(steps=steps, **shared),
        )
        for part in parts
    ]
    return torch.cat(found)
