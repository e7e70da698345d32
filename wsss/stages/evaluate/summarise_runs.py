"""Gather a chain's scores over its runs: mean, deviation and each run, stage by stage."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from wsss.artefacts.formats import ArtefactError, PathLike, Values, read_json, write_json
from wsss.evaluation.counts import VERSION
from wsss.methods.metric_table import METRICS

# What a summary takes over from the runs' files; it is the same in all runs of one chain.
SAME = (
    "measured",
    "split",
    "images",
    "truth",
    "image_tags_used",
    "side",
    "source",
    "crf",
    "scales",
    "mirror",
    "threshold_chosen",
    "threshold_rule",
    "inference",
)


def run(
    *,
    runs: Sequence[int],
    seed_scores: Sequence[PathLike],
    refined_scores: Sequence[PathLike],
    pseudo_scores: Sequence[PathLike],
    segmentation: Sequence[PathLike],
    scores: PathLike,
) -> None:
    """Summarise the runs; the segmentation's scores stand at the top of the file, too.

    Args:
        runs: Their numbers.
        seed_scores: Metrics of the maps before refinement, one file per run, in the runs' order.
        refined_scores: Metrics of the maps after refinement; the same files where nothing refines.
        pseudo_scores: Metrics of the pseudo labels.
        segmentation: Metrics of the segmentation networks.
        scores: Where to write the summary.
    """
    files = {
        "seed": seed_scores,
        "refined": refined_scores,
        "pseudo": pseudo_scores,
        "segmentation": segmentation,
    }
    write_json(scores, summary(runs, files))


def summary(runs: Sequence[int], files: Mapping[str, Sequence[PathLike]]) -> dict[str, Any]:
    """Read all runs of all stages and derive the summary.

    Args:
        runs: Their numbers.
        files: Metrics by stage, one file per run, in the runs' order; ``segmentation``'s stand at the top.

    Returns:
        JSON fields.

    Raises:
        ArtefactError: If a file holds the scores of another run.
    """
    found = {name: _read_runs(paths, runs) for name, paths in files.items()}
    last = found["segmentation"]
    every = [document for documents in found.values() for document in documents]
    taught = _supervision(every, "training_supervision")  # by labels of pixels, of an upper bound
    shared = ("dataset", "unit", "classes", "truth_ignored", "means", *SAME)
    return {
        "form": "summary",
        "version": VERSION,
        "runs": list(runs),
        "deviation": "sample standard deviation over the runs; null for one run",
        **{key: last[0][key] for key in shared if key in last[0]},
        "initial_supervision": _supervision(every, "initial_supervision"),
        **({"training_supervision": taught, "initial_pixel_labels": _initially(every)} if taught else {}),
        "pixel_labels_used": any(document["pixel_labels_used"] for document in every),
        **_over_runs(last),
        "stages": {name: _stage(documents) for name, documents in found.items()},
    }


def _read_runs(paths: Sequence[PathLike], runs: Sequence[int]) -> list[Values]:
    if len(paths) != len(runs) or not runs:
        raise ValueError(f"expected a file for each of the runs {list(runs)}, found {list(paths)}")
    documents: list[Values] = [read_json(path) for path in paths]
    for path, document, run in zip(paths, documents, runs, strict=True):
        if document["run"] != run:
            raise ArtefactError(f"{path}: expected the scores of run {run}, found {document['run']}")
    return documents


def _supervision(documents: Sequence[Values], key: str) -> dict[str, list[str]]:
    """Labels behind each of the chain's networks, over all runs: of its initial weights or its training."""
    pairs = {pair for document in documents for pair in document.get(key, {}).items()}
    return {role: sorted(seen for name, seen in pairs if name == role) for role, _ in sorted(pairs)}


def _initially(documents: Sequence[Values]) -> bool:
    """Whether any network's initial weights had seen pixel labels."""
    origins = [part for document in documents for part in document.get("initial_weights", {}).values()]
    return any(part["pixel_labels"] for part in origins)


def _stage(documents: Sequence[Values]) -> dict[str, Any]:
    """One stage's summary, beside it the scores at other thresholds or of the other inferences."""
    first = documents[0]
    result = _alike(documents)
    if "configured" in first:
        result["configured"] = _alike([document["configured"] for document in documents])
    for group in ("inferences", "rules"):
        if group in first:
            result[group] = {
                name: _alike([document[group][name] for document in documents]) for name in first[group]
            }
    return result


def _alike(parts: Sequence[Values]) -> dict[str, Any]:
    """Scores over the runs, and what is the same in all of them."""
    return {key: parts[0][key] for key in SAME if key in parts[0]} | _over_runs(parts)


def _over_runs(documents: Sequence[Values]) -> dict[str, Any]:
    result: dict[str, Any] = {name: spread([document[name] for document in documents]) for name in METRICS}
    result["per_class"] = [
        {"class": row["class"]}
        | {
            name: spread([document["per_class"][label][name] for document in documents])["mean"]
            for name in ("iou", "fp", "fn")
        }
        for label, row in enumerate(documents[0]["per_class"])
    ]
    for key in ("threshold", "threshold_deviation"):
        if key in documents[0]:
            result[key] = [document[key] for document in documents]
    return result


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, sample standard deviation and the values; null where a value is missing or there is but one."""
    known = [value for value in values if value is not None]
    whole = len(known) == len(values)
    return {
        "mean": statistics.fmean(known) if whole else None,
        "deviation": statistics.stdev(known) if whole and len(known) > 1 else None,
        "runs": list(values),
    }
