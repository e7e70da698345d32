"""What the config will write, and the room for it.

The bytes of an image are those of ``sizes``, averaged over images of the data set. A network takes as much
as its file of initial weights, or as the largest of timm's that the config names. While it runs, a job holds
its newest checkpoints, or its shard besides the finished file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wsss.config.systems import Config, System, asked_of
from wsss.config.thresholds import UNREFINED
from wsss.doctor.data import Facts
from wsss.doctor.plans import Network, all_systems, main_systems, networks
from wsss.doctor.sizes import Size, attention_bytes, cam_bytes, label_bytes, map_bytes
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, gigabytes
from wsss.pretrained.files import locate, starts

TIMM_NETWORK = 350e6  # bytes; ViT-B/16 in float32
RANDOM_NETWORK = 100e6  # bytes of a network that starts from random numbers: unknown without building it
CHECKPOINTS = 9  # times its weights: three checkpoints, each with the optimiser's two moments
RESERVE = 1.05  # for tables, logs, indexes and the headers of files
USUAL_SIZE = (375, 500)  # pixels, where no image could be read


class Item(NamedTuple):
    """A folder of results when it is whole.

    Attributes:
        bytes: Of all its files.
        files: How many they are.
        parts: How many jobs make it.
        ending: Of the files by which a finished part is known.
        held: Bytes that a job holds besides while it runs.
    """

    bytes: float
    files: int
    parts: int
    ending: str
    held: float


class Need(NamedTuple):
    """Bytes and files that are still to be written."""

    bytes: float
    files: float


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
    main = [estimate.main(results) for estimate in estimates]
    whole = [estimate.everything(results) for estimate in estimates]
    parts = [
        f"{one.name} {gigabytes(first.bytes)} (with comparisons and ablations {gigabytes(total.bytes)})"
        for one, first, total in zip(estimates, main, whole, strict=True)
    ]
    return judge(place, "; ".join(parts) or "nothing", _sum(main), _sum(whole))


def judge(place: Path, parts: str, main: Need, everything: Need) -> Verdict:
    """Compare what is still to be written with the room where a folder lies."""
    free, files = shutil.disk_usage(place).free, os.statvfs(place).f_favail
    found = f"{gigabytes(free)} free in {place}; to be written: {parts}"
    for status, wanted in ((ERROR, main), (WARNING, everything)):
        if wanted.bytes > free:
            fix = (
                "free some, start in another folder, or lower views.cached_neighbours or the number of seeds"
            )
            return Verdict(status, "disk", found, fix)
        if 0 < files < wanted.files:  # zero: a file system that does not count them
            counted = f"{place} has room for {files} more files, {wanted.files:.0f} are to be written"
            return Verdict(status, "disk", counted, "remove files, or raise the quota")
    return Verdict(OK, "disk", found)


def _sum(needs: Iterable[Need]) -> Need:
    listed = list(needs)
    return Need(sum(one.bytes for one in listed), sum(one.files for one in listed))


@dataclass(frozen=True)
class Estimate:
    """What a data set's systems write.

    Attributes:
        config: The whole configuration.
        name: Name of the data set.
        facts: Its images.
    """

    config: Config
    name: str
    facts: Facts

    @property
    def dataset(self) -> Config:
        """The data set's entry in the config."""
        settings: Config = self.config["datasets"][self.name]
        return settings

    def main(self, results: Path) -> Need:
        """What the main chain and the single stage are still to write, over all seeds."""
        return self._left(results, self._items(main_systems(self.dataset)))

    def everything(self, results: Path) -> Need:
        """The same with the comparison and the ablations."""
        methods = (self.dataset.get("compare") or {}).get("sensitivity", [])
        classifier = self.dataset["main"]["classifier"]
        swept = {f"{classifier}/{method}/{UNREFINED}/maps": self._maps() for method in methods}
        return self._left(results, swept | self._items(all_systems(self.dataset)))

    def _left(self, results: Path, items: Mapping[str, Item]) -> Need:
        """What is left of the items of all seeds, by the shards that are there."""
        left = [
            (item, 1 - _done(results / self.name / f"seed{seed}" / folder, item))
            for seed in self.dataset["seeds"]
            for folder, item in items.items()
        ]
        held = max((item.held for item, share in left if share), default=0)
        files = sum(share * item.files for item, share in left)
        return Need(RESERVE * sum(share * item.bytes for item, share in left) + held, files)

    def _items(self, systems: Sequence[System]) -> dict[str, Item]:
        """The folders that a run of these systems fills, relative to the run's seed, each once."""
        items: dict[str, Item] = {}
        for system in systems:
            items |= {one.folder: self._weights(one) for one in networks(self.config, system)}
            items |= self._views(system) | self._labelled(system) | self._predicted(system)
        return items

    def _views(self, system: System) -> dict[str, Item]:
        """Raw maps and attention of a classifier, and the maps that a method makes of them."""
        maps = {f"{system.classifier}/{system.method}/{UNREFINED}/maps": self._maps()}
        if system.classifier not in self.config["classifiers"]:
            return maps
        classifier = self.config["classifiers"][system.classifier]
        network, views, classes = classifier["network"], classifier["views"], self.facts.classes
        return maps | {
            f"{system.classifier}/cams": self._tensors(lambda size: cam_bytes(size, classes, network, views)),
            f"{system.classifier}/attention": self._tensors(
                lambda size: attention_bytes(size, network, views)
            ),
        }

    def _labelled(self, system: System) -> dict[str, Item]:
        """Label maps of the training images, and the refined maps that they are cut from."""
        if system.single:
            ways = asked_of(system.single, self.dataset["single_stage"]).pseudo
            return {f"{system.single}/train/{way}/masks": self._label_maps("train") for way in ways}
        pseudo = {f"{system.maps}/pseudo": self._label_maps("train")}
        if system.refiner == UNREFINED:
            return pseudo
        return pseudo | {
            f"{system.maps}/labels": self._label_maps("train"),
            f"{system.maps}/maps": self._maps(),
        }

    def _predicted(self, system: System) -> dict[str, Item]:
        """Predictions of the split val, by each way of inference."""
        ways = self.dataset["inferences"]
        if system.single:
            ways = asked_of(system.single, self.dataset["single_stage"]).val
        folders = [f"{system.segmentation}/val/{way}/masks" for way in ways if system.segments]
        return {folder: self._label_maps("val") for folder in folders}

    def _maps(self) -> Item:
        return self._tensors(lambda size: map_bytes(size, self.facts.classes))

    def _tensors(self, of_image: Callable[[Size], float]) -> Item:
        parts, total = self.dataset["shards"], self.facts.images["train"] * self._mean(of_image)
        return Item(total, parts, parts, f"of{parts:03d}.safetensors", total / parts)

    def _label_maps(self, split: str) -> Item:
        parts = self.dataset["shards" if split == "train" else "val_shards"]
        images = self.facts.images[split]
        total = images * self._mean(label_bytes)
        return Item(total, images, parts, f"of{parts:03d}.jsonl", total / parts)

    def _mean(self, of_image: Callable[[Size], float]) -> float:
        sizes = self.facts.sizes or [USUAL_SIZE]
        return sum(map(of_image, sizes)) / len(sizes)

    def _weights(self, network: Network) -> Item:
        variant = self.config[network.section][network.variant]
        size = sum(_weight_bytes(start.initial) for start in starts(variant))
        return Item(size, 1, 1, "weights.safetensors", CHECKPOINTS * size)


def _weight_bytes(initial: Mapping[str, Any]) -> float:
    """Of a network, by what it starts from."""
    if initial.get("file") and locate(initial["file"]).is_file():
        return locate(initial["file"]).stat().st_size
    return TIMM_NETWORK if initial.get("timm") else RANDOM_NETWORK


def _done(folder: Path, item: Item) -> float:
    """The share of a folder's parts that are there."""
    return min(1.0, sum(1 for _ in folder.glob(f"*{item.ending}")) / item.parts)
