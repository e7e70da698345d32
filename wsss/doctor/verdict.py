"""What a check says: one line, and the fix where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

OK, WARNING, ERROR = "ok", "warning", "error"


class Verdict(NamedTuple):
    """A line of the report.

    Attributes:
        status: ``ok``, ``warning`` (a run may do without) or ``error`` (a run would stop).
        subject: What was looked at, in a word or two.
        found: What was found; in an error also what was expected.
        fix: What to do; empty where nothing is wrong.
    """

    status: str
    subject: str
    found: str
    fix: str = ""


def gigabytes(size: float) -> str:
    """A number of bytes in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def listed(names: Sequence[str], shown: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
