"""Times and memory of jobs, from the tables that Snakemake writes; what has none is not measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from wsss.artefacts.formats import ArtefactError, PathLike
from wsss.config.systems import System
from wsss.evaluation.systems import Job, label_jobs, prediction_job, training_jobs


class Cost(NamedTuple):
    """What jobs took: wall time in seconds, added, and the largest resident memory of one, in MB."""

    seconds: float
    memory: float | None


NOTHING = Cost(0.0, 0.0)


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
        if job.within and self._all(*job.within, run, parts):
            return NOTHING
        costs = (self._all(rule, job.folder, run, parts) for rule in job.rules)
        return next((cost for cost in costs if cost is not None), None)

    def _all(self, rule: str, job: str, run: int, parts: Sequence[str]) -> Cost | None:
        folder = self._folder / rule / self._dataset / f"run{run}"
        return add(_read(Path(f"{folder}/{job}{part}.tsv")) for part in parts)


class SystemCost(NamedTuple):
    """What the jobs behind a system took, one entry a run; None where one is not measured.

    Attributes:
        training: All trainings.
        labelling: Class maps and labels of the training images; empty for a single stage, which needs none.
        prediction: Of val; empty where nothing segments.
    """

    training: list[Cost | None]
    labelling: list[Cost | None]
    prediction: list[Cost | None]


def cost_of(times: Benchmarks, system: System, runs: Sequence[int], pseudo: bool) -> SystemCost:
    """What the jobs behind a system took, with ``pseudo`` those that cut its maps to labels among them."""
    makers = label_jobs(system, pseudo=pseudo)
    return SystemCost(
        [add(times.job(job, run) for job in training_jobs(system)) for run in runs],
        [add(times.shards(job, run) for job in makers) for run in runs] if makers else [],
        [times.val_shards(prediction_job(system), run) for run in runs] if system.segments else [],
    )


def map_cost(times: Benchmarks, system: System, runs: Sequence[int]) -> SystemCost:
    """What the jobs up to a system's class maps took, without pseudo labels and segmentation network."""
    return cost_of(times, replace(system, segmenter=None), runs, pseudo=False)


def ratio(costs: Iterable[Cost | None], unit: Iterable[Cost | None]) -> float | None:
    """How many times as long as others jobs took, by means over the runs; None where either is not known."""
    own, one = mean_seconds(costs), mean_seconds(unit)
    return own / one if own is not None and one else None


def mean_seconds(costs: Iterable[Cost | None]) -> float | None:
    """Mean over the runs; None where one is not measured, or there is none."""
    known = list(costs)
    measured = [cost.seconds for cost in known if cost is not None]
    return statistics.fmean(measured) if measured and len(measured) == len(known) else None


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
