"""What Snakemake hands to the functions of a plan."""

from __future__ import annotations

from typing import Protocol


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
