"""What the config will write, and the room for it.

The bytes of an image are those of ``sizes``, averaged over images of the data set. A network takes as much
as its file of initial weights, or as the largest of timm's that the config names. While it runs, a job holds
its newest checkpoints, or its shard besides the finished file. Where maps alone are kept, a job that makes
them holds the views of its shard, twice while their file is written. One job at a time is counted, as the
default profile runs them.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from wsss.config.datasets import LARGE
from wsss.config.systems import Config, Network, System, asked_of, networks
from wsss.config.thresholds import UNREFINED
from wsss.doctor.data import Facts
from wsss.doctor.plans import all_systems, main_systems
from wsss.doctor.sizes import Size, attention_bytes, cam_bytes, derived_bytes, label_bytes, map_bytes
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, gigabytes
from wsss.pretrained.files import locate, starts

TIMM_NETWORK = 350e6  # bytes; ViT-B/16 in float32
RANDOM_NETWORK = 100e6  # bytes of a network that starts from random numbers: unknown without building it
CHECKPOINTS = 9  # times its weights: three checkpoints, each with the optimiser's two moments
RESERVE = 1.05  # for tables, logs, indexes and the headers of files
USUAL_SIZE = (375, 500)  # pixels, where no image could be read


class Item(NamedTuple):
    """A folder of results when it is whole."""

    bytes: float
    parts: int  # jobs that make it
    ending: str  # of the files by which a finished part is known
    held: float  # bytes that a job holds besides while it runs


def check_disk(config: Config, facts: Mapping[str, Facts], results: Path) -> Verdict:
    """Whether there is room for what the config will write.

    Args:
        config: The whole configuration.
        facts: What is known of the data sets to be used, by name.
        results: The folder of results, which need not be there yet.

    Returns:
        An error if the main chains do not fit, a warning if only the comparisons do not.
    """
    place = next(path for path in (results.absolute(), *results.absolute().parents) if path.exists())
    if not os.access(place, os.W_OK):
        return Verdict(ERROR, "disk", f"{place} cannot be written", "fix its permissions")
    estimates = [Estimate(config, name, known) for name, known in facts.items()]
    needs = {one.name: (one.main(results), one.everything(results)) for one in estimates}
    parts = [
        f"{one.name} {gigabytes(needs[one.name][0])} (with comparisons and ablations "
        f"{gigabytes(needs[one.name][1])}){one.said_of_keep(results)}"
        for one in estimates
    ]
    free = shutil.disk_usage(place).free
    found = f"{gigabytes(free)} free in {place}; to be written: {'; '.join(parts) or 'nothing'}"
    fix = (
        "free some, start in another folder, or take keep: maps, fewer views.cached_neighbours or fewer runs"
    )
    for which, status in enumerate((ERROR, WARNING)):
        if sum(need[which] for need in needs.values()) > free:
            return Verdict(status, "disk", found, fix)
    return Verdict(OK, "disk", found)


class Estimate(NamedTuple):
    """What the systems of a data set write."""

    config: Config  # the whole one
    name: str
    facts: Facts

    @property
    def dataset(self) -> Config:
        """The data set's entry in the config."""
        settings: Config = self.config["datasets"][self.name]
        return settings

    def main(self, results: Path) -> float:
        """Bytes that the main chain and the single stage are still to write, over all runs."""
        return self._left(results, dict(self._main_items()))

    def _main_items(self) -> Iterator[tuple[str, Item]]:
        return self._items(main_systems(self.dataset))

    def everything(self, results: Path) -> float:
        """The same with the comparison and the ablations."""
        items = {
            f"{classifier}/{method}/{UNREFINED}/maps": self._first_maps(classifier)
            for classifier, method in self._swept()
        }
        return self._left(results, items | dict(self._items(all_systems(self.dataset))))

    def _swept(self) -> set[tuple[str, str]]:
        """Classifier and methods of which the comparison scores the unrefined maps alone."""
        methods = (self.dataset.get("compare") or {}).get("sensitivity", [])
        return {(self.dataset["main"]["classifier"], method) for method in methods}

    def said_of_keep(self, results: Path) -> str:
        """What the other value of the data set's ``keep`` would come to, where that matters; or nothing."""
        if self.dataset["keep"] == "attention":
            if self.facts.images["train"] <= LARGE:
                return ""
            return f", with keep: maps {gigabytes(self._keeping('maps').main(results))}"
        held = max((item.held for name, item in self._main_items() if name.endswith("/maps")), default=0.0)
        cached = gigabytes(self._keeping("attention").main(results))
        return (
            f", with keep: attention {cached} (keep: maps holds {gigabytes(held)} for the job that makes "
            f"maps, and as much for each one beside it; {self._passes(results)})"
        )

    def _keeping(self, kept: str) -> Estimate:
        datasets = {**self.config["datasets"], self.name: {**self.dataset, "keep": kept}}
        return self._replace(config={**self.config, "datasets": datasets})

    def _passes(self, results: Path) -> str:
        """How often a classifier goes over the training images, and what that took before."""
        main, whole = (self._made(systems) for systems in (main_systems, all_systems))
        whole |= {chain for chain in self._swept() if self._uncached(chain[0])}
        text = (
            f"each method is a pass of its classifier over train, {len(main)} in the main chain, "
            f"{len(whole)} in all"
        )
        tables = sorted((results / "benchmarks/make_maps" / self.name).rglob("*.tsv"))
        if not tables:
            return text
        minutes = self.dataset["shards"] * math.fsum(map(_seconds, tables)) / len(tables) / 60
        return f"{text}, {minutes:.0f} minutes each by results/benchmarks/make_maps"

    def _made(self, systems: Callable[[Config], Sequence[System]]) -> set[tuple[str, str]]:
        """Classifiers and methods whose maps are made without a cache."""
        chains = {(one.classifier, one.method) for one in systems(self.dataset) if one.labels_by_itself}
        return {chain for chain in chains if self._uncached(chain[0])}

    def _uncached(self, classifier: str) -> bool:
        """Whether a classifier's maps are of a forward pass that is not kept."""
        settings = self.config["classifiers"].get(classifier)
        return bool(settings) and not settings["maps"] and self.dataset["keep"] == "maps"

    def _left(self, results: Path, items: Mapping[str, Item]) -> float:
        """What is left of the items of all runs, by the parts that are there."""
        total = held = 0.0
        for run in self.dataset["runs"]:
            for folder, item in items.items():
                finished = len([*(results / self.name / f"run{run}" / folder).glob(f"*{item.ending}")])
                if finished < item.parts:
                    total += item.bytes * (1 - finished / item.parts)
                    held = max(held, item.held)
        return RESERVE * total + held

    def _items(self, systems: Sequence[System]) -> Iterator[tuple[str, Item]]:
        """The folders that a run of these systems fills, relative to the run's own; some of them twice."""
        for system in systems:
            for network in networks(self.config, system):
                yield network.folder, self._weights(network)
            if system.labels_by_itself:
                yield from self._labelled(system)
            for way in self._inferences(system):
                yield f"{system.segmentation}/val/{way}/masks", self._label_maps("val")

    def _labelled(self, system: System) -> Iterator[tuple[str, Item]]:
        """Class maps and labels of the training images, and what these are made of."""
        yield from self._extracted(system)
        maps = f"{system.classifier}/{system.method}/{UNREFINED}/maps"
        yield maps, self._first_maps(system.classifier)
        if system.refiner != UNREFINED:
            yield f"{system.maps}/maps", self._maps()
            yield f"{system.maps}/labels", self._label_maps("train")
        yield system.labels, self._label_maps("train")

    def _extracted(self, system: System) -> Iterator[tuple[str, Item]]:
        """Raw class maps and attention of a classifier, where they are kept."""
        if system.classifier in self.config["classifiers"] and not self._uncached(system.classifier):
            for folder, item in self._views(system.classifier).items():
                yield f"{system.classifier}/{folder}", item

    def _views(self, classifier: str) -> dict[str, Item]:
        """All views of the training images, by folder."""
        settings, classes = self.config["classifiers"][classifier], self.facts.classes
        network, views = settings["network"], settings["views"]
        if maps := settings["maps"]:
            made = partial(derived_bytes, classes=classes, network=network, views=views, kind=maps["kind"])
            return {"cams": self._tensors(made)}
        return {
            "cams": self._tensors(lambda size: cam_bytes(size, classes, network, views)),
            "attention": self._tensors(lambda size: attention_bytes(size, network, views)),
        }

    def _first_maps(self, classifier: str) -> Item:
        """Unrefined maps, and what a job that makes them without a cache holds."""
        maps = self._maps()
        if not self._uncached(classifier):
            return maps
        views = sum(item.bytes / item.parts for item in self._views(classifier).values())
        return maps._replace(held=maps.held + 2 * views)

    def _inferences(self, system: System) -> Sequence[str]:
        """How a system segments val."""
        if system.single:
            return asked_of(system.single, self.dataset["single_stage"]).val
        return self.dataset["inferences"] if system.segmenter else []

    def _maps(self) -> Item:
        return self._tensors(lambda size: map_bytes(size, self.facts.classes))

    def _tensors(self, of_image: Callable[[Size], float]) -> Item:
        return self._shards("train", self.dataset["shards"], "safetensors", of_image)

    def _label_maps(self, split: str) -> Item:
        parts = self.dataset["shards" if split == "train" else "val_shards"]
        return self._shards(split, parts, "jsonl", label_bytes)

    def _shards(self, split: str, parts: int, form: str, of_image: Callable[[Size], float]) -> Item:
        sizes = self.facts.sizes or [USUAL_SIZE]
        total = self.facts.images[split] * sum(map(of_image, sizes)) / len(sizes)
        return Item(total, parts, f"of{parts:03d}.{form}", total / parts)

    def _weights(self, network: Network) -> Item:
        variant = self.config[network.section][network.variant]
        size = sum(_weight_bytes(start.initial) for start in starts(variant))
        return Item(size, 1, "weights.safetensors", CHECKPOINTS * size)


def _weight_bytes(initial: Mapping[str, Any]) -> float:
    """Of a network, by what it starts from."""
    if initial.get("file") and locate(initial["file"]).is_file():
        return locate(initial["file"]).stat().st_size
    return TIMM_NETWORK if initial.get("timm") else RANDOM_NETWORK


def _seconds(benchmark: Path) -> float:
    """Wall time of a finished job."""
    with benchmark.open(encoding="utf-8") as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])
