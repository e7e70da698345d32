"""What Snakemake hands to the functions of a plan, and what wildcards may be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

MATCHES_NOTHING = "(?!)"


class Wildcards(Protocol):
    """The wildcard values that Snakemake hands to input, parameter and resource functions."""

    dataset: str
    run: str
    classifier: str
    method: str
    refiner: str
    segmenter: str
    labeller: str
    single: str
    score: str
    split: str
    part: str
    stage: str


def alternatives(names: Iterable[str]) -> str:
    """A constraint that matches these names and no other text, of no names none at all."""
    return "|".join(re.escape(name) for name in names) or MATCHES_NOTHING
