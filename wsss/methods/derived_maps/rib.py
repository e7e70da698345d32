"""RIB: class maps summed while the classifier is tuned to the image, then put back.

Lee et al., NeurIPS 2021, by its code; the mathematics is ``wsss.methods.information_bottleneck``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from wsss.config.fields import Count, NotNegative, NotNegativeInt, Pixels, Unit
from wsss.config.fields import Settings as Group
from wsss.methods.derived_maps.contract import BATCH_PIXELS
from wsss.methods.derived_maps.pairs import both_ways

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.derived_maps.contract import Config, Subject

TITLE = "RIB"
ON_TOKENS = False
PAIRED = True


class Settings(Group):
    """Class maps summed while the classifier is tuned to the image (RIB)."""

    kind: Literal["rib"]
    rounds: Count = 10
    """Maps that are summed; the classifier learns in between."""
    lr: NotNegative = 8e-6
    """Learning rate of the convolutions that learnt in training; 5.0e-6 for COCO."""
    head_lr: NotNegative = 8e-5
    """Of their head."""
    power: NotNegative = 0.9
    """Of the rates' polynomial schedule over the rounds."""
    momentum: Unit = 1e-4
    """Of the descent, as RIB's code is really run."""
    weight_decay: NotNegative = 1e-4
    tau: Unit = 0.4
    """Share of a map's maximum below which cells count in a score; 0.5 for COCO."""
    limit: NotNegative = 600.0
    """Sum of the image's own scores above which no further round is run; 1000 for COCO."""
    coverage: Unit = 0.7
    """Share of the cells at scale 1 above which no further round is run; 0.8 for COCO."""
    strong: Unit = 0.3
    """Share of a map's maximum above which a cell is covered."""
    crops: NotNegativeInt = 20
    """Crops of other images that share no class, a round; 15 for COCO."""
    crop: Pixels = 512
    """Side of these crops, pixels."""


def check(classifier: Config) -> str | None:
    """Convolutions have to learn: a transformer's class maps have a head in their group and no more."""
    if classifier["network"]["kind"] == "timm":
        return "convolutions that learn: expected a network of kind cnn, conformer or pair, found timm"
    return both_ways(classifier)


def groups(classifier: Any, settings: Config) -> list[dict[str, Any]]:
    """The convolutions that learnt in training, and their head."""
    heads = {id(parameter) for parameter in classifier.head_parameters()}
    params = classifier.parameter_groups()["cnn"]
    return [
        {"params": [one for one in params if id(one) not in heads], "lr": settings["lr"]},
        {"params": [one for one in params if id(one) in heads], "lr": settings["head_lr"]},
    ]


def maps(classifier: Any, subject: Subject, groups: list[dict[str, Any]], settings: Config) -> list[Tensor]:
    """Sum of the maps of all rounds, of each scale, (K, h, w)."""
    import torch

    from wsss.methods.information_bottleneck import Others, Scale, Tuning, tuned_maps

    views = zip(subject.images, subject.scales, strict=True)
    scales = [
        Scale(torch.stack([image, image.flip(-1)]), teaches=scale >= 1, counts=scale == 1)
        for image, scale in views
    ]
    images, tags = subject.others(settings["crops"], settings["crop"])
    rows = max(1, BATCH_PIXELS // settings["crop"] ** 2)
    others = [
        Others(*part) for part in zip(images.split(rows), tags.split(rows), strict=True) if len(part[0])
    ]
    shared = ("rounds", "power", "momentum", "weight_decay", "tau", "limit", "coverage", "strong")
    how = Tuning(**{key: settings[key] for key in shared})
    return tuned_maps(
        lambda images: classifier(images, attention=False).class_maps,
        groups,
        scales,
        subject.classes,
        others,
        how,
    )
