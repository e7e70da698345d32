"""Masks and image labels that number the classes differently, by what each image's own two say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from wsss.data.checks import QUOTED, Examined, check_class_order, check_masks_show
from wsss.data.records import Entry, Finding, Listing

GAIN = 0.25  # of agreement by which another numbering must do better
LEAST = 2  # images that speak for another numbering: one alone may be labelled wrongly
FEWER = 3  # images that it suits better, for each that it suits worse
AGREED = 0.6  # mean agreement that it must reach


class Numbering(NamedTuple):
    """Another way to read masks: what is wrong if it is right, and the classes that a mask then shows."""

    kind: str
    text: str
    read: Callable[[Examined], set[int]]


def check_masks(listing: Listing, examined: Sequence[Examined]) -> list[Finding]:
    """Findings where the masks as a whole contradict the image labels; see the three checks.

    Args:
        listing: What the data set's reader found.
        examined: Of each of its entries, in their order.
    """
    shown = check_masks_show(listing, examined) or check_class_order(listing, examined)
    return shown or check_numbering(listing, examined)


def check_numbering(listing: Listing, examined: Iterable[Examined]) -> list[Finding]:
    """A finding where another numbering of the masks' values agrees with the labels and theirs does not.

    The agreement of an image is the number of classes that its labels and its mask share, of those
    that either has. Labels may leave out what masks show, which lowers it for every numbering alike.

    Args:
        listing: What the data set's reader found.
        examined: Of each of its entries, in their order.

    Returns:
        At most one finding, with three images.
    """
    pairs = [
        (entry, one)
        for entry, one in zip(listing.entries, examined, strict=True)
        if entry.mask and entry.classes and one.height and not one.findings
    ]
    own = np.array([_agreement(entry, set(one.shown)) for entry, one in pairs])
    for numbering in _numberings(listing.classes, pairs) if pairs else ():
        other = np.array([_agreement(entry, numbering.read(one)) for entry, one in pairs])
        better, worse = other > own, other < own
        telling = better & [bool(one.shown) for _, one in pairs]  # an empty mask speaks for no number
        clear = telling.any() and better.sum() >= LEAST and (other - own).mean() >= GAIN
        if clear and better.sum() > FEWER * worse.sum() and other.mean() >= AGREED:
            told = [_told(pairs[at], listing.classes) for at in np.flatnonzero(better)[:QUOTED]]
            text = (
                f"{numbering.text}: {better.sum()} of {len(pairs)} images say so, such as {'; '.join(told)}"
            )
            return [Finding(numbering.kind, text)]
    return []


def _agreement(entry: Entry, shown: set[int]) -> float:
    labelled = set(entry.classes)
    return len(labelled & shown) / len(labelled | shown)


def _told(pair: tuple[Entry, Examined], classes: Sequence[str]) -> str:
    entry, one = pair
    labelled, shown = ([classes[index] for index in indices] for indices in (entry.classes, one.shown))
    return f"{entry.id!r} (labelled {', '.join(labelled)}, mask {', '.join(shown) or 'empty'})"


def _numberings(classes: Sequence[str], pairs: Sequence[tuple[Entry, Examined]]) -> Iterator[Numbering]:
    """The numberings that the masks' values allow, the likeliest first."""
    last = len(classes) - 1
    if not any(last in one.shown for _, one in pairs):
        yield Numbering(
            "mask values", "masks seem to count the classes from 0, without a background", _from_0
        )
    if not any(one.background for _, one in pairs):
        yield Numbering(
            "mask values", "masks seem to count the classes from 2, with 1 as background", _from_2
        )
    by_number = sorted(classes, key=_natural)
    if by_number != list(classes):
        text = f"masks seem to have the classes in the order {', '.join(by_number[:3])}, ..., the class list"
        order = [classes.index(name) for name in by_number]
        yield Numbering("class order", f"{text} {', '.join(classes[:3])}, ...", partial(_reordered, order))
    text = "masks seem to have the classes in another order than the class list"
    yield Numbering("class order", text, partial(_reordered, _best_order(len(classes), pairs)))


def _from_0(one: Examined) -> set[int]:
    return {index + 1 for index in one.shown} | ({0} if one.background else set())


def _from_2(one: Examined) -> set[int]:
    return {index - 1 for index in one.shown if index}


def _reordered(order: Sequence[int], one: Examined) -> set[int]:
    return {order[index] for index in one.shown}


def _best_order(classes: int, pairs: Sequence[tuple[Entry, Examined]]) -> list[int]:
    """The class of each value in masks, one to one, by which most images agree; its own if none is better."""
    from scipy.optimize import linear_sum_assignment  # takes a second to import

    together = np.eye(classes) / 2
    for entry, one in pairs:
        together[np.ix_(one.shown, entry.classes)] += 1
    _, order = linear_sum_assignment(together, maximize=True)
    return [int(index) for index in order]


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Orders names with numbers in them by the numbers: 2 before 10."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name))
