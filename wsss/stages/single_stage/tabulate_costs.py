"""Tabulate the hours that single stages take beside a chain of several: one row a system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from pydantic import validate_call

from wsss.artefacts.formats import PathLike, read_json, read_manifest, write_table
from wsss.config.systems import System
from wsss.evaluation.costs import Benchmarks, Cost, add, cost_of, mean_seconds
from wsss.evaluation.systems import by_run, find_runs, under_inference
from wsss.stages.evaluate.summarise_runs import spread


@validate_call
def run(
    *,
    manifest: PathLike,
    scores: Sequence[PathLike],
    table: PathLike,
    systems: Sequence[System],
    runs: Sequence[int],
    shards: Sequence[str],
    val_shards: Sequence[str],
    benchmarks: PathLike,
) -> None:
    """Write the hours from the tables in which Snakemake wrote each job's time; empty where one has none.

    Args:
        manifest: The data set.
        scores: Metrics of predictions on val, of all systems and runs; they stand beside the hours.
        table: Where to write the table, CSV. ``hours`` is all that it takes to have the network that labels
            new images: ``train_hours``, and of several stages ``label_hours`` of maps and pseudo labels.
        systems: What costs are told of.
        runs: Their numbers; hours and scores are means over them.
        shards: Names of the parts that the work on training images was cut into.
        val_shards: Names of the parts that the prediction of val was cut into.
        benchmarks: Folder of the benchmark tables.
    """
    times = Benchmarks(benchmarks, read_manifest(manifest).dataset, shards, val_shards)
    files, rows = by_run(scores), []
    for system in systems:
        found = [read_json(path) for path in find_runs(files, runs, system.segmentation)]
        on_val = [under_inference(document, system.inference)["miou"] for document in found]
        cost = cost_of(times, system, runs, pseudo=True)
        parts = [part for part in (cost.training, cost.labelling) if part]
        rows.append(
            {
                "system": system.name,
                "stages": "single" if system.single else "multiple",
                "hours": _hours(add(each) for each in zip(*parts, strict=True)),
                "train_hours": _hours(cost.training),
                "label_hours": _hours(cost.labelling),
                "predict_hours": _hours(cost.prediction),
                "segmentation_miou": spread(on_val)["mean"] if on_val else None,
                "runs": " ".join(map(str, runs)),
            }
        )
    write_table(table, pd.DataFrame(rows))


def _hours(costs: Iterable[Cost | None]) -> float | None:
    seconds = mean_seconds(costs)
    return None if seconds is None else seconds / 3600
