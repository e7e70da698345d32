"""Score class maps, plain or walked: the threshold curve, its best point, the configured one, the rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wsss.artefacts.formats import ArtefactError, PathLike, Values, read_manifest, write_json, write_table
from wsss.config.thresholds import of_data_set
from wsss.evaluation.counts import (
    CONFIGURED,
    MASKED,
    Counts,
    add_counts,
    chain_weights,
    score_fields,
    statement,
    view_scales,
)
from wsss.labelling.thresholds import data_set_threshold, rule_chosen, rule_names, spread_of_steps
from wsss.methods.metric_table import METRICS
from wsss.methods.metrics import scores as derive_scores

BEST = "highest mIoU of the sweep, chosen on this very truth"


def run(
    *,
    manifest: PathLike,
    counts: Sequence[PathLike],
    weights: PathLike,
    scores: PathLike,
    curve: PathLike,
    configured_threshold: float | str,
    settings: Values,
    irn_weights: PathLike | None = None,
) -> None:
    """Derive the scores of all shards' counts; the image's labels restricted the classes.

    Args:
        manifest: The data set.
        counts: Counts of all shards over the thresholds.
        weights: The classifier's weights; all weights are read for what they started from.
        scores: Where to write the metrics: the best threshold's at the top, the configured one's under
            ``configured``, and under ``rules`` those that rules find without masks.
        curve: Where to write the sweep as a table, one row per threshold.
        configured_threshold: The configured threshold: one of the sweep's, or the name of a rule.
        settings: What made the maps, recorded as it is.
        irn_weights: IRNet's weights, where one refined the maps.
    """
    data = read_manifest(manifest)
    total = add_counts(counts)
    result = statement(data, MASKED, total.images, chain_weights(weights, irn_weights))
    table = _curve(total)
    write_table(curve, table)
    rules = {name: _by_rule(total, name, result["classes"]) for name in rule_names()}
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
            **_point(total, _best(table), result["classes"]),
            "threshold_chosen": BEST,
            "configured": _configured(total, configured_threshold, rules, result["classes"]),
            "rules": rules,
        },
    )


def _configured(
    total: Counts, threshold: float | str, rules: Mapping[str, dict[str, Any]], classes: Sequence[str]
) -> dict[str, Any]:
    """The scores at the configured threshold, a step of the sweep or a rule's."""
    if not isinstance(threshold, str):
        at = _position(total.thresholds, threshold)
        return {**_point(total, at, classes), "threshold_chosen": CONFIGURED}
    if threshold not in rules:
        raise ArtefactError(f"threshold {threshold!r}: expected a number or one of the rules {sorted(rules)}")
    return rules[threshold]


def _by_rule(total: Counts, name: str, classes: Sequence[str]) -> dict[str, Any]:
    """The scores at the thresholds that a rule finds: its mean and deviation where each image has its own."""
    stated = {"threshold_rule": name, "threshold_chosen": rule_chosen(name)}
    if of_data_set(name):
        _, place = data_set_threshold(name, total.more["values"], total.thresholds)
        return {**_point(total, place, classes), **stated}
    place = total.params["rules"].index(name)
    steps = spread_of_steps(total.more["rule_steps"][place].tolist())
    return {**steps, **score_fields(total.more["rules"][place], classes), **stated}


def _point(total: Counts, index: int, classes: Sequence[str]) -> dict[str, Any]:
    """A threshold of the sweep and its scores."""
    return {"threshold": total.thresholds[index], **score_fields(total.matrices[index], classes)}


def _curve(total: Counts) -> pd.DataFrame:
    results = [derive_scores(matrix) for matrix in total.matrices]
    columns = {name: [result.means[name] for result in results] for name in METRICS}
    return pd.DataFrame({"threshold": total.thresholds, **columns})


def _best(table: pd.DataFrame) -> int:
    """The first row of the highest mIoU; the first row of all where nothing was scored."""
    best = -math.inf
    index = 0
    for row, value in enumerate(table["miou"]):
        if value > best:
            best, index = value, row
    return index


def _position(thresholds: Sequence[float], configured: float) -> int:
    for index, value in enumerate(thresholds):
        if math.isclose(value, configured, abs_tol=1e-9):
            return index
    raise ArtefactError(
        f"configured threshold {configured}: expected one of the sweep's, {thresholds[0]} to "
        f"{thresholds[-1]}; change it or the sweep in the configuration"
    )
