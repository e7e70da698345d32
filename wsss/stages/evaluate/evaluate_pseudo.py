"""Score pseudo labels against the masks of the training images that have one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import validate_call

from wsss.artefacts.formats import PathLike, Values, read_manifest, write_json
from wsss.config.refiners import Pseudo
from wsss.evaluation.counts import (
    CONFIGURED,
    MASKED,
    add_counts,
    chain_weights,
    score_fields,
    statement,
    view_scales,
)
from wsss.labelling.thresholds import rule_chosen


@validate_call
def run(
    *,
    manifest: PathLike,
    counts: Sequence[PathLike],
    weights: PathLike,
    scores: PathLike,
    settings: Pseudo,
    irn_weights: PathLike | None = None,
) -> None:
    """Derive the scores of all shards' counts.

    Args:
        manifest: The data set.
        counts: Counts of all shards.
        weights: The classifier's weights; all weights are read for what they started from.
        scores: Where to write the metrics.
        settings: The threshold, a number or a rule, and the CRF that made the labels.
        irn_weights: IRNet's weights, where one refined the maps.
    """
    data = read_manifest(manifest)
    total = add_counts(counts)
    result = statement(data, MASKED, total.images, chain_weights(weights, irn_weights))
    write_json(
        scores,
        {
            **result,
            "measured": "pseudo labels, classes restricted to the image's labels; void counted as background",
            "maps": total.params["labels"]["maps"],
            "scales": view_scales(total.params["labels"]["maps"]),
            **_threshold(settings.threshold, total.params["labels"]),
            "crf": settings.model_dump()["crf"],
            **score_fields(total.matrices[0], result["classes"]),
        },
    )


def _threshold(setting: float | str, labels: Values) -> dict[str, Any]:
    """Which background score made the labels and how it was chosen; null where each image had its own."""
    if not isinstance(setting, str):
        return {"threshold": setting, "threshold_chosen": CONFIGURED}
    return {
        "threshold": labels.get("threshold"),
        "threshold_rule": setting,
        "threshold_chosen": rule_chosen(setting),
    }
