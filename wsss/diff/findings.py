"""What a comparison finds, in words and numbers."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

WORST = 6  # images that are kept of an artefact, the most different ones
NAMED = 3  # of them in a line of text
LONGEST = 60  # characters of a setting's value in a line of text


class Verdict(StrEnum):
    """How the two sides of an artefact compare."""

    EQUAL = "equal"  # byte for byte
    SAME = "same content"  # made under another header, or of images that lie elsewhere
    DIFFERS = "differs"
    ONLY_A = "only in A"
    ONLY_B = "only in B"
    NOT_COMPARED = "not compared"  # drawn from other artefacts, which are compared
    UNREADABLE = "unreadable"


AGREEING = (Verdict.EQUAL, Verdict.SAME, Verdict.NOT_COMPARED)


@dataclass(frozen=True)
class Change:
    """A setting that differs: its name with dots between the levels, and its two values."""

    name: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return f"{self.name} {_short(self.a)} -> {_short(self.b)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


@dataclass(frozen=True)
class Difference:
    """How far the contents of an artefact are apart."""

    text: str = ""  # the amounts in a line; empty where there is no difference
    amounts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()  # what could not be set side by side
    worst: Mapping[str, float] = field(default_factory=dict)  # by image, the most different first

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        return not self.text and not self.notes

    def __str__(self) -> str:
        return "; ".join(part for part in (self.text, *self.notes) if part)


def paired(a: Collection[str], b: Collection[str], what: str) -> tuple[list[str], list[str]]:
    """The names that both sides have, sorted, and notes on how many things one side has alone."""
    both = sorted(set(a) & set(b))
    alone = {"A": len(a) - len(both), "B": len(b) - len(both)}
    return both, [f"{several(count, what)} only in {side}" for side, count in alone.items() if count]


def reshaped(count: int, what: str) -> list[str]:
    """A note on things whose two sides cannot be laid on each other."""
    return [f"{several(count, what)} of another shape"] if count else []


def largest(apart: Mapping[str, float]) -> dict[str, float]:
    """The few images of largest difference, the worst first; none without a difference."""
    worst = heapq.nsmallest(WORST, apart.items(), key=lambda entry: (-entry[1], entry[0]))
    return {image: difference for image, difference in worst if difference > 0}


def named(worst: Mapping[str, float], amount: Callable[[float], str]) -> str:
    """The first of the most different images, each with its difference in words."""
    return ", ".join(f"{image} ({amount(apart)})" for image, apart in list(worst.items())[:NAMED])


def several(count: int, what: str) -> str:
    """A number of things."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def size(value: float) -> str:
    """A difference as text, three digits."""
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.3g} %"
