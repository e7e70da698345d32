"""Class names as people write them: names for nothing, several in one cell, one class written in two ways."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence

NOTHING = frozenset({"background", "bg", "none", "nan", "null", "n/a", "na", "nothing"})
SEPARATORS = (";", "|", ",", "/", " ")
SURE = (";", "|")  # hardly part of a name


def is_nothing(name: str, classes: Collection[str] | None) -> bool:
    """Whether a name says that an image shows no class; a class list may have it as a class all the same."""
    return name.casefold() in NOTHING and (classes is None or name not in classes)


def parted(name: str, others: Collection[str]) -> list[str]:
    """The classes that one cell names: several where it is made of names that occur by themselves.

    By hand: with ``dog`` and ``cat`` elsewhere, ``dog;cat`` and ``dog cat`` are both; ``hot dog`` is itself.
    """
    if name in others:
        return [name]
    for separator in SEPARATORS:
        parts = [part.strip() for part in name.split(separator)]
        if len(parts) > 1 and all(part in others for part in parts):
            return parts
    return [name]


def unparted(names: Iterable[str]) -> list[str]:
    """Names that look like several in one cell and cannot be told apart, for no part occurs by itself."""
    return sorted({name for name in names if any(separator in name for separator in SURE)})


def singles(names: Iterable[str]) -> set[str]:
    """Names without any separator, which others may be made of."""
    return {name for name in names if not re.search(r"[;|,/\s]", name)}


def look_alikes(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only in capitals, in composed accents or in blanks."""
    first: dict[str, str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        key = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if key in first:
            pairs.append((first[key], name))
        first.setdefault(key, name)
    return pairs
