"""What a comparison finds, in words and numbers."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

WORST = 6  # images that are kept of a stage, the most different ones
NAMED = 3  # of them in a line of text


class Verdict(StrEnum):
    """How the two sides of a stage's artefact compare."""

    EQUAL = "equal"  # byte for byte
    SAME = "same content"  # made under another header, or of images that lie elsewhere
    DIFFERS = "differs"
    ONLY_A = "only in A"
    ONLY_B = "only in B"
    NOT_COMPARED = "not compared"  # drawn from other artefacts, which are compared
    UNREADABLE = "unreadable"


AGREEING = (Verdict.EQUAL, Verdict.SAME, Verdict.NOT_COMPARED)


class Worst(NamedTuple):
    """An image and how far its two sides are apart."""

    image: str
    difference: float


class Change(NamedTuple):
    """A setting that differs: its name with dots between the levels, and its two values."""

    name: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return f"{self.name} {_short(self.a)} -> {_short(self.b)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True)
class Difference:
    """How far the contents of an artefact are apart.

    Attributes:
        same: Whether there is no difference.
        text: The amounts in a line.
        amounts: The amounts as JSON values.
        notes: What could not be set side by side.
        worst: The most different images, the worst first.
    """

    same: bool
    text: str = ""
    amounts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    worst: Sequence[Worst] = ()


class Largest:
    """The few images of largest difference; holds no more than these."""

    def __init__(self, count: int = WORST) -> None:
        self._count = count
        self._heap: list[tuple[float, str]] = []

    def add(self, image: str, difference: float) -> None:
        """Look at one image; one without a difference is never kept."""
        if difference > 0:
            heapq.heappush(self._heap, (difference, image))
        if len(self._heap) > self._count:
            heapq.heappop(self._heap)

    def found(self) -> list[Worst]:
        """The images kept, the worst first."""
        order = sorted(self._heap, key=lambda entry: (-entry[0], entry[1]))
        return [Worst(image, difference) for difference, image in order]


class Unpaired:
    """Counts the images, or tensors, that one side lacks or whose two sides have other shapes."""

    def __init__(self, what: str = "image") -> None:
        self._what = what
        self.counts = {"only in A": 0, "only in B": 0, "of another shape": 0}

    def meet(self, in_a: bool, in_b: bool) -> bool:
        """Whether both sides have an image; counts the side that has it alone."""
        if in_a != in_b:
            self.counts["only in A" if in_a else "only in B"] += 1
        return in_a and in_b

    def reshape(self) -> None:
        """Count an image whose two sides cannot be laid over each other."""
        self.counts["of another shape"] += 1

    def notes(self) -> list[str]:
        """What was counted, in words."""
        return [f"{several(count, self._what)} {how}" for how, count in self.counts.items() if count]


def several(count: int, what: str) -> str:
    """A number of things."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def worst_images(worst: Sequence[Worst], amount: Callable[[float], str]) -> str:
    """The first of the most different images, each with its difference in words."""
    return ", ".join(f"{entry.image} ({amount(entry.difference)})" for entry in worst[:NAMED])


def number(value: float) -> float | None:
    """A number for JSON, which knows no infinity and no NaN."""
    return value if math.isfinite(value) else None


def size(value: float) -> str:
    """A difference as text, three digits."""
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.3g} %"
