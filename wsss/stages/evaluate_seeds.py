"""Score class maps, plain or walked: the threshold curve, its best point and the configured one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wsss.artefacts import ArtefactError, PathLike, read_manifest, write_json, write_table
from wsss.methods.metrics import scores as derive_scores
from wsss.stages.count_seeds import SPLIT
from wsss.stages.scoring import (
    FIXED,
    MEANS,
    Counts,
    add_counts,
    chain_weights,
    score_fields,
    statement,
    view_scales,
)

BEST = "highest mIoU of the sweep, chosen on this very truth"


def run(
    *,
    manifest: PathLike,
    counts: Sequence[PathLike],
    weights: PathLike,
    scores: PathLike,
    curve: PathLike,
    fixed_threshold: float,
    settings: Mapping[str, Any],
    irn_weights: PathLike | None = None,
) -> None:
    """Derive the scores of all shards' counts; the image's labels restricted the classes.

    Args:
        manifest: The data set.
        counts: Counts of all shards over the thresholds.
        weights: The classifier's weights; all weights are read for what they started from.
        scores: Where to write the metrics: the best threshold's at the top, the fixed one's under ``fixed``.
        curve: Where to write the sweep as a table, a row a threshold.
        fixed_threshold: The threshold to score beside the best one; one of the sweep's.
        settings: What made the maps, recorded as it is.
        irn_weights: IRNet's weights, where one refined the maps.
    """
    data = read_manifest(manifest)
    total = add_counts(counts)
    result = statement(data, SPLIT, total.images, chain_weights(weights, irn_weights))
    table = _curve(total)
    write_table(curve, table)
    at = {"best": _best(table), "fixed": _position(total.thresholds, fixed_threshold)}
    points = {
        name: {"threshold": total.thresholds[index], **score_fields(total.matrices[index], result["classes"])}
        for name, index in at.items()
    }
    write_json(
        scores,
        {
            **result,
            "measured": "class maps cut at a background score, classes restricted to the image's labels",
            "maps": total.params["maps"],
            "scales": view_scales(total.params["maps"]),
            "settings": dict(settings),
            "crf": None,
            "thresholds": total.params["thresholds"],
            **points["best"],
            "threshold_chosen": BEST,
            "fixed": {**points["fixed"], "threshold_chosen": FIXED},
        },
    )


def _curve(total: Counts) -> pd.DataFrame:
    results = [derive_scores(matrix) for matrix in total.matrices]
    columns = {name: [float(getattr(result, name)) for result in results] for name in MEANS}
    return pd.DataFrame({"threshold": total.thresholds, **columns})


def _best(table: pd.DataFrame) -> int:
    """The first row of the highest mIoU; the first row of all where nothing was scored."""
    best = -math.inf
    index = 0
    for row, value in enumerate(table["miou"]):
        if value > best:
            best, index = value, row
    return index


def _position(thresholds: Sequence[float], fixed: float) -> int:
    for index, value in enumerate(thresholds):
        if math.isclose(value, fixed, abs_tol=1e-9):
            return index
    raise ArtefactError(
        f"fixed threshold {fixed}: expected one of the sweep's, {thresholds[0]} to {thresholds[-1]}; "
        "change it or the sweep in the configuration"
    )
