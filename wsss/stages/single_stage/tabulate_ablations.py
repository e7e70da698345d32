"""Tabulate the single-stage network's variants: one row per variant and way of inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wsss.artefacts.formats import PathLike, Values, read_json, write_table
from wsss.evaluation.systems import by_run, find_runs, under_inference
from wsss.methods.metric_table import SHOWN, column_name
from wsss.single_stage.registry import TOLD
from wsss.stages.evaluate.summarise_runs import spread

SCORES = {column_name(name): name for name in SHOWN}


def run(
    *,
    scores: Sequence[PathLike],
    pseudo: Sequence[PathLike] = (),
    table: PathLike,
    variants: Mapping[str, Values],
    runs: Sequence[int],
) -> None:
    """Write the ablations; files are told apart by the variant and the run that their headers name.

    Args:
        scores: Metrics of predictions on val, of all variants and runs.
        pseudo: Metrics of the training images' masks; the same in all of a variant's rows, of the inference
            that ``pseudo_inference`` names.
        table: Where to write the table, CSV: scores are fractions of 1, empty where nothing was measured.
        variants: Each variant's ``kind`` of method and ``training``.
        runs: Their numbers; deviations are sample deviations over them, empty for one.
    """
    files, train_files, rows = by_run(scores), by_run(pseudo), []
    for name, variant in variants.items():
        on_val = [read_json(path) for path in find_runs(files, runs, name)]
        on_train = [read_json(path) for path in find_runs(train_files, runs, name)]
        ways: list[Any] = list(on_val[0]["inferences"]) if on_val else [None]  # a row without scores
        for inference in ways:
            rows.append(
                {
                    "variant": name,
                    **TOLD[variant["kind"]](variant["training"]),
                    **_inference(on_val, inference),
                    **_scores("segmentation", [under_inference(document, inference) for document in on_val]),
                    **_scores("pseudo", on_train),
                    "pseudo_inference": on_train[0]["inference"] if on_train else None,
                    "runs": " ".join(map(str, runs)),
                }
            )
    write_table(table, pd.DataFrame(rows))


def _inference(documents: Sequence[Values], name: str | None) -> dict[str, Any]:
    part = documents[0]["inferences"][name] if documents else {}
    return {
        "inference": name,
        "main": bool(documents) and documents[0]["inference"] == name,
        "side": part.get("side"),
        "crf": None if not documents else part.get("crf") is not None,
        "image_tags_used": part.get("image_tags_used"),
    }


def _scores(stage: str, documents: Sequence[Values]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, key in SCORES.items():
        over = spread([document[key] for document in documents]) if documents else {}
        result |= {f"{stage}_{name}": over.get("mean"), f"{stage}_{name}_deviation": over.get("deviation")}
    first = documents[0] if documents else {}
    return result | {f"{stage}_{key}": first.get(key) for key in ("split", "images")}
