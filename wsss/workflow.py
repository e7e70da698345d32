"""What the rules ask: which shards, files and resources; and whether the configuration fits together.

Nothing here imports torch: Snakemake reads this module each time it plans.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, NamedTuple, Protocol

from wsss.files import PACKAGED
from wsss.fingerprint import fingerprint

__all__ = ["ConfigError", "Plan", "check_config", "fingerprint", "shard_names"]

Config = Mapping[str, Any]
# Keys of a data set that say how work is cut and what is reported; they change no image and no label.
BOOKKEEPING = ("shards", "seeds", "inferences", "main")
WITHOUT_ATTENTION = ("resnet50",)
NEED_ATTENTION = ("tscam", "attention_diffusion", "adcam")
COARSER_THAN_TOKENS = 32  # output stride of the published Conformer, whose tokens are 16 pixels wide
UNREFINED = "none"
PLAIN = "cam"
# Folders that lie beside those named after a section's variants.
FOLDERS = {
    "datasets": ("logs", "benchmarks", "pretrain"),
    "methods": ("cams", "attention", "events"),
    "segmenters": ("irn", "labels", "maps", "pseudo", "pseudo_counts", "seed_counts"),
}
MATCHES_NOTHING = "(?!)"


class ConfigError(ValueError):
    """A configuration whose parts do not fit together; the message says which key to change."""


class Wildcards(Protocol):
    """The wildcard values that Snakemake hands to input, parameter and resource functions."""

    dataset: str
    seed: str
    classifier: str
    method: str
    refiner: str
    segmenter: str


class Chain(NamedTuple):
    """The variants that make up a data set's main chain."""

    classifier: str
    method: str
    refiner: str
    segmenter: str
    inference: str


def shard_names(count: int) -> list[str]:
    """Names of a split's shards, ``000of002`` and so on."""
    return [f"{index:03d}of{count:03d}" for index in range(count)]


class Plan:
    """Answers to the rules' questions about one configuration; most methods are input functions."""

    def __init__(self, config: Config) -> None:
        """Check the configuration; raises :class:`ConfigError` where it does not fit together."""
        check_config(config)
        self._config = config

    def pattern(self, section: str) -> str:
        """Wildcard constraint: the names of a section's variants."""
        return _alternatives(self._config[section])

    def datasets(self, kind: str) -> str:
        """Wildcard constraint: the data sets of a kind."""
        return _alternatives(
            name for name, settings in self._config["datasets"].items() if settings["kind"] == kind
        )

    def seeds(self) -> str:
        """Wildcard constraint: the seeds of all data sets."""
        seeds = {seed for settings in self._config["datasets"].values() for seed in settings["seeds"]}
        return _alternatives(str(seed) for seed in sorted(seeds))

    def walking_refiners(self) -> str:
        """Wildcard constraint: the refiners that train a network."""
        return _alternatives(
            name for name, settings in self._config["refiners"].items() if "network" in settings
        )

    def shards(self, wildcards: Wildcards) -> list[str]:
        """The data set's shards."""
        return shard_names(self._dataset(wildcards)["shards"])

    def chain(self, wildcards: Wildcards) -> Chain:
        """The data set's main chain."""
        return Chain(**self._dataset(wildcards)["main"])

    def main(self, wildcards: Wildcards) -> list[Chain]:
        """The data set's main chain alone in a list, as ``collect`` asks for."""
        return [self.chain(wildcards)]

    def main_walking(self, wildcards: Wildcards) -> list[Chain]:
        """The data set's main chain if its refiner trains a network, or an empty list."""
        refiners = self._config["refiners"]
        return [chain for chain in self.main(wildcards) if "network" in refiners[chain.refiner]]

    def main_weights(self, wildcards: Wildcards) -> str:
        """The segmentation network of the main chain's first seed."""
        chain, seed = self.chain(wildcards), self._dataset(wildcards)["seeds"][0]
        run = f"results/{wildcards.dataset}/seed{seed}/{chain.classifier}/{chain.method}/{chain.refiner}"
        return f"{run}/{chain.segmenter}/weights.safetensors"

    def irn_weights(self, wildcards: Wildcards) -> str | list[str]:
        """The chain's trained IRNet, or no file where its refiner trains none."""
        if "network" not in self._config["refiners"][wildcards.refiner]:
            return []
        run = f"results/{wildcards.dataset}/seed{wildcards.seed}/{wildcards.classifier}/{wildcards.method}"
        return f"{run}/{wildcards.refiner}/irn/weights.safetensors"

    def classifier_file(self, wildcards: Wildcards) -> list[str]:
        """The file that the classifier starts from, if it is one of the user's."""
        return _initial_file(self._config["classifiers"][wildcards.classifier])

    def irn_file(self, wildcards: Wildcards) -> list[str]:
        """The file that IRNet starts from, if it is one of the user's."""
        return _initial_file(self._config["refiners"][wildcards.refiner])

    def segmenter_file(self, wildcards: Wildcards) -> list[str]:
        """The file that the segmentation network starts from, if it is one of the user's."""
        return _initial_file(self._config["segmenters"][wildcards.segmenter])

    def seed(self, wildcards: Wildcards) -> int:
        """The run's seed as a number."""
        return int(wildcards.seed)

    def source(self, wildcards: Wildcards) -> str | list[str]:
        """The folder that a rule made for the data set, or no file where none did."""
        made = self._dataset(wildcards)["kind"] in ("sample", "coco")
        return f"results/{wildcards.dataset}/source" if made else []

    def data_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """What defines the data set's images and labels, without how the work on them is cut."""
        return {key: value for key, value in self._dataset(wildcards).items() if key not in BOOKKEEPING}

    def map_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """What made a chain's class maps, for the metrics file to say."""
        refiner = self._config["refiners"][wildcards.refiner]
        return {
            "classifier": wildcards.classifier,
            "method": {"name": wildcards.method, **self._config["methods"][wildcards.method]},
            "refiner": {"name": wildcards.refiner, "walk": refiner.get("walk")},
        }

    def inference_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """The ways of inference that are scored on the data set, by name."""
        return {name: self._config["inferences"][name] for name in self._dataset(wildcards)["inferences"]}

    def gpus(self, wildcards: Wildcards) -> int:
        """GPUs of a job: none for the generated data set, which is made for CPUs."""
        return 0 if self._dataset(wildcards)["kind"] == "sample" else 1

    def training_threads(self, wildcards: Wildcards) -> int:
        """Threads of a training; two on the sample: the same bytes for any ``--cores`` from 2 on."""
        return 2 if self._dataset(wildcards)["kind"] == "sample" else 8

    def shard_threads(self, wildcards: Wildcards) -> int:
        """Threads of a shard's job; one on the sample, so that two shards run side by side on two cores."""
        return 1 if self._dataset(wildcards)["kind"] == "sample" else 4

    def _dataset(self, wildcards: Wildcards) -> Config:
        settings: Config = self._config["datasets"][wildcards.dataset]
        return settings


def _alternatives(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in names) or MATCHES_NOTHING


def _initial_file(variant: Config) -> list[str]:
    """Shipped weights are left out: a fresh installation dates them anew and must rerun nothing."""
    file = variant["initial"].get("file")
    return [file] if file and not file.startswith(PACKAGED) else []


def check_config(config: Config) -> None:
    """Check what a schema cannot: that names refer to something and that a chain's parts fit.

    Args:
        config: The configuration, valid by ``rules/config.schema.yaml``.

    Raises:
        ConfigError: Lists every finding with its key.
    """
    findings = _check_refiners(config) + _check_names(config)
    if config["methods"].get(PLAIN, {}).get("kind") != PLAIN:
        findings.append(
            f"methods.{PLAIN}: expected the plain class maps, which pictures show beside the method's"
        )
    for name, dataset in config["datasets"].items():
        findings += [f"datasets.{name}.{finding}" for finding in _check_dataset(config, dataset)]
    if findings:
        lines = "\n".join(f"  {line}" for line in findings)
        raise ConfigError(f"the configuration does not fit together:\n{lines}")


def _check_names(config: Config) -> list[str]:
    return [
        f"{section}.{name}: expected another name, a folder of the results has this one"
        for section, folders in FOLDERS.items()
        for name in folders
        if name in config[section]
    ]


def _check_refiners(config: Config) -> list[str]:
    refiners = config["refiners"]
    if UNREFINED not in refiners or "network" in refiners[UNREFINED]:
        return [f"refiners.{UNREFINED}: expected a refiner without a network, for maps as they are"]
    findings = []
    for name, refiner in refiners.items():
        if name != UNREFINED and "network" not in refiner:
            findings.append(f"refiners.{name}: expected labels, network, initial, training, walk; found none")
        if not _in_sweep(refiner["pseudo"]["threshold"], config["evaluation"]["thresholds"]):
            findings.append(
                f"refiners.{name}.pseudo.threshold: expected a step of evaluation.thresholds, "
                f"found {refiner['pseudo']['threshold']}"
            )
    return findings


def _in_sweep(threshold: float, sweep: Config) -> bool:
    steps = (threshold - sweep["start"]) / sweep["step"]
    inside = sweep["start"] - 1e-9 <= threshold <= sweep["stop"] + 1e-9
    return inside and math.isclose(steps, round(steps), abs_tol=1e-6)


def _check_dataset(config: Config, dataset: Config) -> list[str]:
    main, inferences = dataset["main"], dataset["inferences"]
    findings = [
        f"main.{part}: expected one of {part}s ({', '.join(config[part + 's'])}), found {main[part]!r}"
        for part in Chain._fields
        if main[part] not in config[part + "s"]
    ]
    findings += [
        f"inferences: expected names of inferences ({', '.join(config['inferences'])}), found {name!r}"
        for name in inferences
        if name not in config["inferences"]
    ]
    if main["inference"] not in inferences:
        findings.append(f"inferences: expected the main one, {main['inference']!r}, among {inferences}")
    return findings or [*_check_inferences(config, inferences), *_check_chain(config, main)]


def _check_inferences(config: Config, names: Iterable[str]) -> list[str]:
    """Scores are told apart by the settings that made them, so no two may be equal."""
    return [
        f"inferences: expected different settings, found the same for {one!r} and {other!r}; drop one"
        for one, other in combinations(names, 2)
        if config["inferences"][one] == config["inferences"][other]
    ]


def _check_chain(config: Config, main: Mapping[str, str]) -> list[str]:
    classifier, method = config["classifiers"][main["classifier"]], config["methods"][main["method"]]
    views, kind = classifier["views"], method["kind"]
    asks, has = f"main.method: {main['method']!r}", f"classifier {main['classifier']!r}"
    findings = []
    if kind in NEED_ATTENTION and classifier["network"]["kind"] in WITHOUT_ATTENTION:
        findings.append(f"{asks} needs attention, which {has} does not have")
    elif classifier["network"].get("output_stride") == COARSER_THAN_TOKENS:
        findings += _check_coarse_maps(main, kind, views)
    if kind == "adcam":
        findings += _check_neighbours(main, method["neighbours"], views["cached_neighbours"])
    if kind == "adcam" and method["soft"] and not views["cache_similarity"]:
        findings.append(f"{asks} needs similarities; set views.cache_similarity of {has}")
    if kind == "attention_diffusion" and method["steps"] > views["attention_steps"]:
        findings.append(
            f"{asks} takes {method['steps']} steps, {has} stores {views['attention_steps']}; "
            "raise views.attention_steps"
        )
    return findings


def _check_coarse_maps(main: Mapping[str, str], kind: str, views: Config) -> list[str]:
    """Attention relates tokens of 16 pixels; maps on another grid can only be taken as they are."""
    key = f"classifiers.{main['classifier']}"
    if kind in NEED_ATTENTION:
        asks = f"main.method: {main['method']!r} needs"
    elif views["attention_steps"] > 0:
        asks = f"main.classifier: {key}.views.attention_steps {views['attention_steps']} needs"
    else:
        return []
    return [
        f"{asks} maps on the tokens' grid, which {key}.network.output_stride {COARSER_THAN_TOKENS} does not "
        f"give; take output_stride 16, or views.attention_steps 0 with method {PLAIN!r}"
    ]


def _check_neighbours(main: Mapping[str, str], asked: float, stored: float) -> list[str]:
    """A number of stored neighbours serves no fraction, which grows with the view, and the reverse."""
    asks, has = f"main.method: {main['method']!r} takes", f"classifier {main['classifier']!r} stores"
    key = f"methods.{main['method']}.neighbours"
    if asked < 1 and not asked <= stored < 1:
        return [
            f"{asks} the fraction {asked} ({key}) of a view's tokens as neighbours, {has} {stored}; "
            f"set views.cached_neighbours to {asked} or more, below 1"
        ]
    if stored < 1 <= asked:
        return [
            f"{asks} {asked} neighbours ({key}), {has} the fraction {stored} of a view's tokens, which may "
            "be fewer; set views.cached_neighbours to a whole number"
        ]
    if asked > stored:
        return [f"{asks} {asked} neighbours, {has} {stored}; raise views.cached_neighbours"]
    return []
