"""Chains and systems: the variants that a score rests on, and where its parts lie in a run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from wsss.config.thresholds import UNREFINED

Config = Mapping[str, Any]
PATCHES = "patches"  # the method that the single stage's variants have
TRUTH = "truth"  # stands for a chain where a segmentation network is trained on the images' masks


class Chain(NamedTuple):
    """The variants that make up a data set's main chain."""

    classifier: str
    method: str
    refiner: str
    segmenter: str
    inference: str


@dataclass(frozen=True)
class System:
    """One row of a comparison; its properties are the parts of its results' paths.

    Attributes:
        name: How it is called.
        classifier: The first network: a classifier, or a variant of APC.
        method: What makes class maps.
        refiner: What refines them.
        segmenter: The network trained on the pseudo labels; None: none is.
        apc: The variant of APC that labels and segments by itself, and is the classifier; None: a chain.
        inference: How val is segmented.
        pseudo: How APC labels the training images; None for a chain.
    """

    name: str
    classifier: str
    method: str
    refiner: str
    segmenter: str | None
    apc: str | None
    inference: str
    pseudo: str | None

    @property
    def maps(self) -> str:
        """Where its class maps and their scores lie."""
        return f"{self.classifier}/{self.method}/{self.refiner}"

    @property
    def scored(self) -> str:
        """Where the scores of its labels of training images lie."""
        return self.apc or self.maps

    @property
    def labels(self) -> str:
        """Where its labels of training images lie, a folder a shard."""
        return f"{self.apc}/train/{self.pseudo}/masks" if self.apc else f"{self.maps}/pseudo"

    @property
    def segments(self) -> bool:
        """Whether it has a network that segments images without labels."""
        return bool(self.apc or self.segmenter)

    @property
    def segmentation(self) -> str:
        """Where the scores of its predictions lie."""
        return self.apc or f"{self.maps}/{self.segmenter}"

    @property
    def predictions(self) -> str:
        """Where its predictions of val lie, a folder a shard."""
        return f"{self.segmentation}/val/{self.inference}/masks"


def system_of(settings: Mapping[str, Any], dataset: Config) -> System:
    """Fill in what an entry of ``compare.systems`` leaves to its data set."""
    if "apc" in settings:
        apc, single = settings["apc"], dataset["apc"]
        inference = settings.get("inference") or single["inference"]
        return System(settings["name"], apc, PATCHES, UNREFINED, None, apc, inference, single["pseudo"][0])
    return System(**settings, apc=None, inference=dataset["main"]["inference"], pseudo=None)


def val_inferences(variant: str, single: Config) -> list[str]:
    """How a variant of APC predicts val, by a data set's ``apc``; only the main one does in several ways."""
    return list(single["inferences"]) if variant == single["main"] else [single["inference"]]
