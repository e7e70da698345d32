"""Holding some images back, to score on what no network was trained on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from wsss.data.records import Entry

SEED = 0
HELD_BACK = 5  # one in so many of the images with a mask


def is_split(entries: Iterable[Entry]) -> bool:
    """Whether the data themselves say which images are held back."""
    return any({"val", "test"} & {*entry.splits} for entry in entries)


def choose_val(entries: Iterable[Entry]) -> list[str]:
    """Ids of images to hold back: one in five of those with a mask, always the same ones.

    None is taken that is the last image of a class.

    Args:
        entries: All images of the data set, in any order.

    Returns:
        Sorted ids; none where there are too few masks.
    """
    every = sorted(entries, key=lambda entry: entry.id)
    masked = [entry for entry in every if entry.mask is not None and entry.classes]
    random.Random(SEED).shuffle(masked)
    left = Counter(index for entry in every for index in entry.classes)
    chosen: list[str] = []
    for entry in masked:
        if len(chosen) < len(masked) // HELD_BACK and all(left[index] > 1 for index in entry.classes):
            left.subtract(entry.classes)
            chosen.append(entry.id)
    return sorted(chosen)


def lists(name: str, entries: Sequence[Entry]) -> tuple[dict[Path, str], dict[str, str]]:
    """The files that tell train and val apart, with their text, and their names by split."""
    names = {split: f"{name}.{split}.txt" for split in ("train", "val")}
    ids = {split: [entry.id for entry in entries if split in entry.splits] for split in names}
    return {Path(names[split]): "".join(f"{one}\n" for one in ids[split]) for split in names}, names
