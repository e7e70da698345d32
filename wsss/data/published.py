"""The papers' own figures, and which of our systems each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from wsss.artefacts.files import Values

RESOURCES = ("published.yaml",)
STAGES = ("seed", "pseudo", "segmentation")


def published_system(kind: str, facts: Values) -> dict[str, Any] | None:
    """Find the published figures of a system.

    Args:
        kind: Kind of data set, such as ``voc``.
        facts: What the system is: ``network``, ``pixel_labels``, the kind of a classifier's ``training``,
            tags unless given, and the settings of its ``method``, whose kind is the maker's where maps are
            derived, with ``refined`` and the ``affinity`` that it diffused over; or of a single stage the
            kind of method, as ``single_stage``, what the method tells of its training, and ``side``.

    Returns:
        ``name``, ``source`` and, for each stage that was published, its scores as fractions of 1; None
        where nothing was published for such a system.
    """
    for entry in _read()["systems"]:
        usual = {"training": "tags"}
        if entry["data"] == kind and fits({**usual, **entry["where"]}, {**usual, **facts}):
            stages = {stage: _fractions(entry[stage]) for stage in STAGES if stage in entry}
            return {"name": entry["name"], "source": entry["source"], **stages}
    return None


def published_others(kind: str) -> list[dict[str, Any]]:
    """Other work's segmentation scores on a kind of data set, fractions of 1, with supervision and source."""
    columns = [column for column in ("val", "test") if (kind, column) != ("coco", "test")]
    rows = []
    for entry in _read()["others"]:
        scores = {column: entry.get(f"{kind}_{column}") for column in columns}
        if any(score is not None for score in scores.values()):
            told = {key: entry[key] for key in ("name", "kind", "source")}
            rows.append({**told, **_fractions(scores)})
    return rows


def fits(where: Values, facts: Values) -> bool:
    """Whether the facts have every key of a condition with an equal value, nested mappings likewise.

    A list in the condition names several values, of which any will do.
    """
    for key, expected in where.items():
        found = facts.get(key)
        if isinstance(expected, Mapping):
            if not isinstance(found, Mapping) or not fits(expected, found):
                return False
        elif key not in facts or found not in (expected if isinstance(expected, list) else [expected]):
            return False
    return True


def _fractions(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value / 100, 6) for name, value in scores.items()}


def _read() -> dict[str, Any]:
    text = Path(__file__).with_name(RESOURCES[0]).read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content
