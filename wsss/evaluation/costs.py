"""Times and memory of jobs, from the tables that Snakemake writes; what has none is not measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from wsss.artefacts.formats import ArtefactError, PathLike
from wsss.evaluation.systems import Job


class Cost(NamedTuple):
    """What jobs took: wall time in seconds, added, and the largest resident memory of one, in MB."""

    seconds: float
    memory: float | None


class Benchmarks:
    """The benchmark tables of one data set's jobs.

    A job that one of several rules may have run is measured by the table that is there; None where none is.
    """

    def __init__(
        self, folder: PathLike, dataset: str, shards: Sequence[str], val_shards: Sequence[str]
    ) -> None:
        self._folder = Path(folder)
        self._dataset = dataset
        self._shards = list(shards)
        self._val_shards = list(val_shards)

    def job(self, job: Job, run: int) -> Cost | None:
        """What a run's one job took."""
        return self._first(job, run, [""])

    def shards(self, job: Job, run: int) -> Cost | None:
        """What the jobs of all parts of the training images took together."""
        return self._first(job, run, [f"/{shard}" for shard in self._shards])

    def val_shards(self, job: Job, run: int) -> Cost | None:
        """What the jobs of all parts of val took together."""
        return self._first(job, run, [f"/{shard}" for shard in self._val_shards])

    def _first(self, job: Job, run: int, parts: Sequence[str]) -> Cost | None:
        for rule in job.rules:
            folder = self._folder / rule / self._dataset / f"run{run}"
            cost = add(_read(Path(f"{folder}/{job.folder}{part}.tsv")) for part in parts)
            if cost is not None:
                return cost
        return None


def add(costs: Iterable[Cost | None]) -> Cost | None:
    """Seconds added and the largest memory; None where one is not measured, or there is none."""
    known = list(costs)
    measured = [cost for cost in known if cost is not None]
    if not known or len(measured) < len(known):
        return None
    memories = [cost.memory for cost in measured if cost.memory is not None]
    largest = max(memories) if len(memories) == len(measured) else None
    return Cost(math.fsum(cost.seconds for cost in measured), largest)


def _read(path: Path) -> Cost | None:
    """One table; Snakemake writes ``NA`` where a job was over before its memory was looked at."""
    if not path.is_file():
        return None
    table = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
    if not {"s", "max_rss"} <= set(table.columns) or table.empty:
        raise ArtefactError(f"{path}: expected a benchmark table with columns s and max_rss; remove it")
    memory = float(table["max_rss"].max())
    return Cost(float(table["s"].mean()), memory if math.isfinite(memory) else None)
