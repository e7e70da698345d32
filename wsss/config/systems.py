"""Chains and systems: the variants that a score rests on, and where its parts lie in a run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from wsss.config.thresholds import UNREFINED

Config = Mapping[str, Any]
PATCHES = "patches"  # the method that variants of single-stage methods have
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
        classifier: The first network: a classifier, or a variant of a single-stage method; :data:`TRUTH` of
            an upper bound, which has neither it nor class maps.
        method: What makes class maps.
        refiner: What refines them.
        segmenter: The network trained on the pseudo labels; None: none is.
        single: The variant of a single-stage method that labels and segments by itself, and is the
            classifier; None: a chain.
        inference: How val is segmented.
        pseudo: How a single stage labels the training images; None for a chain.
        trained: The network whose training gives the first one's weights; None: it is trained itself.
    """

    name: str
    classifier: str
    method: str
    refiner: str
    segmenter: str | None
    single: str | None
    inference: str
    pseudo: str | None
    trained: str | None = None

    @property
    def first_weights(self) -> str:
        """Where the first network's weights lie, and the name of their training."""
        return self.trained or self.classifier

    @property
    def labels_by_itself(self) -> bool:
        """Whether it makes class maps and labels; an upper bound has the images' masks."""
        return self.classifier != TRUTH

    @property
    def maps(self) -> str:
        """Where its class maps and their scores lie."""
        if not self.labels_by_itself:
            return TRUTH
        return f"{self.classifier}/{self.method}/{self.refiner}"

    @property
    def scored(self) -> str:
        """Where the scores of its labels of training images lie."""
        return self.single or self.maps

    @property
    def labels(self) -> str:
        """Where its labels of training images lie, a folder a shard."""
        return f"{self.single}/train/{self.pseudo}/masks" if self.single else f"{self.maps}/pseudo"

    @property
    def segments(self) -> bool:
        """Whether it has a network that segments images without labels."""
        return bool(self.single or self.segmenter)

    @property
    def segmentation(self) -> str:
        """Where the scores of its predictions lie."""
        return self.single or f"{self.maps}/{self.segmenter}"

    @property
    def predictions(self) -> str:
        """Where its predictions of val lie, a folder a shard."""
        return f"{self.segmentation}/val/{self.inference}/masks"


def trained_as(config: Config, classifier: str) -> str:
    """The network whose training gives a classifier's weights: itself, unless it has another's.

    Args:
        config: The whole configuration.
        classifier: A classifier, or a variant of a single-stage method.
    """
    return config["classifiers"].get(classifier, {}).get("weights_of") or classifier


class Network(NamedTuple):
    """A network that is trained: its section and name in the config, and the run's folder of its weights."""

    section: str
    variant: str
    folder: str


def networks(config: Config, system: System) -> list[Network]:
    """The networks that a system trains, in their order.

    Args:
        config: The whole configuration.
        system: One of its systems.
    """
    segmenter = Network("segmenters", str(system.segmenter), system.segmentation)
    if not system.labels_by_itself:
        return [segmenter]
    section = "single_stage" if system.classifier in config["single_stage"] else "classifiers"
    trained = trained_as(config, system.classifier)
    refines = "network" in config["refiners"][system.refiner]
    return [
        Network(section, trained, trained),
        *([Network("refiners", system.refiner, f"{system.maps}/irn")] if refines else []),
        *([segmenter] if system.segmenter else []),
    ]


def system_of(settings: Config, dataset: Config) -> System:
    """Fill in what an entry of ``compare.systems`` leaves to its data set."""
    if "single_stage" in settings:
        variant = settings["single_stage"]
        asked = asked_of(variant, dataset["single_stage"])
        inference = settings.get("inference") or asked.inference
        return System(
            settings["name"], variant, PATCHES, UNREFINED, None, variant, inference, asked.pseudo[0]
        )
    if "truth" in settings:
        bound = dict.fromkeys(("classifier", "method", "refiner"), TRUTH)
        settings = {"name": settings["name"], "segmenter": settings["segmenter"], **bound}
    return System(**settings, single=None, inference=dataset["main"]["inference"], pseudo=None)


class Asked(NamedTuple):
    """How a variant of a single-stage method is asked, by names of ``single_stage_inferences``.

    Attributes:
        val: Of val.
        inference: The one of them that counts.
        pseudo: Of the training images; the first counts.
    """

    val: list[str]
    inference: str
    pseudo: list[str]


def asked_of(variant: str, single: Config) -> Asked:
    """How a data set's ``single_stage`` asks a variant; only the main one in several ways of val."""
    own = {**single, **single.get("otherwise", {}).get(variant, {})}
    val = single["inferences"] if variant == single["main"] else [own["inference"]]
    return Asked(list(val), own["inference"], list(own["pseudo"]))
