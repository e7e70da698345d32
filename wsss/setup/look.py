"""What a folder of pictures and its labels hold, in words, and what is run on it for that."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsss.config.datasets import FolderData
from wsss.data.folder import list_folder
from wsss.data.records import Entry
from wsss.data.working_size import working_size
from wsss.doctor.data import Facts as Sampled
from wsss.doctor.data import check_dataset
from wsss.doctor.verdict import ERROR, Verdict, listed
from wsss.setup.choices import Facts, reading_side

NAMES = 40  # classes that are listed
RARE = 5  # training images, below which a class is hardly learnt


@dataclass(frozen=True)
class Look:
    """A data set as it was found.

    Attributes:
        name: Of the data set.
        settings: Where its pictures lie, and as what they are read.
        classes: Foreground class names.
        entries: Its images.
        verdicts: Of the checks that ``wsss doctor`` makes, too.
        sampled: What those say of its size; None where it cannot be listed.
    """

    name: str
    settings: FolderData
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    verdicts: list[Verdict]
    sampled: Sampled | None

    @property
    def wrong(self) -> list[Verdict]:
        """What would stop a run."""
        return [verdict for verdict in self.verdicts if verdict.status == ERROR]

    @property
    def scored(self) -> bool:
        """Whether a segmentation can be scored."""
        return any("val" in entry.splits and entry.mask is not None for entry in self.entries)

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """Height and width of some images."""
        return self.sampled.sizes if self.sampled else ()

    def facts(self, gpu: bool) -> Facts:
        """What choices rest on."""
        times = Counter(split for entry in self.entries for split in entry.splits)
        longest = max(map(max, self.sizes))
        read = [working_size(size, reading_side(longest)) for size in self.sizes]
        side = round(statistics.median(map(min, read)))
        return Facts(times["train"], max(times["val"], times["test"]), side, self.scored, gpu, longest)


def look(name: str, settings: FolderData) -> Look:
    """Read a data set's lists, all of them, and some of its files.

    Args:
        name: Name of the data set.
        settings: Where its pictures lie, and as what they are read.
    """
    listing = list_folder(settings)
    verdicts, sampled = check_dataset(name, settings, Path(), True)
    return Look(name, settings, listing.classes, listing.entries, verdicts, sampled)


def held_back(found: Look, ids: Collection[str]) -> Look:
    """The same with some of its training images in val."""
    entries = tuple(replace(one, splits=("val",)) if one.id in ids else one for one in found.entries)
    return replace(found, entries=entries)


def described(found: Look, split: str) -> Iterator[str]:
    """Lines on the images, classes, splits and masks, and on what is odd.

    Args:
        found: The data set.
        split: How its splits came about; empty where the data say so themselves.
    """
    ends = (min(found.sizes, key=_area), max(found.sizes, key=_area))
    low, high = (f"{width} x {height}" for height, width in ends)
    read = reading_side(max(map(max, found.sizes)))
    smaller = f"; larger ones are read at {read} pixels of the longer side (long_side)" if read else ""
    yield f"images: {len(found.entries)} in {found.settings.images}, {low} to {high} pixels{smaller}"
    yield f"classes: {_classes(found)}"
    yield f"splits: {_splits(found.entries)}" + (f"; {split}" if split else "")
    masks = sum(entry.mask is not None for entry in found.entries)
    yield f"masks: {masks or 'none'}" + ("" if found.scored else ", and nothing to score the result on")
    yield from (f"odd: {text}" for text in _odd(found))


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _classes(found: Look) -> str:
    times = Counter(index for entry in found.entries for index in entry.classes)
    none = sum(not entry.classes for entry in found.entries)
    counted = listed([f"{name} {times[index]}" for index, name in enumerate(found.classes)], NAMES)
    return counted + (f"; {none} images show none" if none else "")


def _splits(entries: tuple[Entry, ...]) -> str:
    times = Counter(split for entry in entries for split in entry.splits)
    return ", ".join(f"{split} {times[split]}" for split in ("train", "val", "test") if times[split])


def _odd(found: Look) -> Iterator[str]:
    times = Counter(i for entry in found.entries if "train" in entry.splits for i in entry.classes)
    rare = [f"{name} {times[i]}" for i, name in enumerate(found.classes) if times[i] < RARE]
    if rare:
        yield f"few training images of {listed(rare, NAMES)}: give more, or leave such a class out"
    for verdict in found.verdicts:
        if verdict.status != "ok":
            yield f"{verdict.found}; {verdict.fix}"
