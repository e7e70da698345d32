"""Differences between scores, with the noise of the seeds beside them."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from wsss.artefacts.formats import ArtefactError, read_json
from wsss.diff.pairing import Unit
from wsss.methods.metric_table import METRICS

SCORES = tuple(METRICS)
SEED = re.compile(r"\bseed\d+/")


class Comparable(StrEnum):
    """What a difference of a score is worth."""

    EQUAL = "none: equal"
    INSIDE = "none: inside the seed noise"
    OUTSIDE = "larger than the seed noise"
    UNKNOWN = "not known: one seed a side tells no noise"


class Score(NamedTuple):
    """A score of one chain on both sides.

    Attributes:
        chain: Path of the metrics file without its seed.
        part: What was scored there, where the file holds more than one: an inference, a threshold, a stage.
        name: Name of the score.
        a: The runs' values on one side, fractions of 1.
        b: Those on the other.
        difference: Mean of ``b`` minus mean of ``a``.
        noise: Differences up to this are noise: half of the 95 % interval of a difference between means of
            as many runs, by Student's t with the runs' pooled deviation; None if no side has two seeds.
        verdict: What the difference is worth.
    """

    chain: str
    part: str
    name: str
    a: Sequence[float]
    b: Sequence[float]
    difference: float
    noise: float | None
    verdict: Comparable


def compare_scores(units: Iterable[Unit]) -> list[Score]:
    """The scores that both sides have, over their seeds.

    A data set's summary is read only where the runs' own files are not there.

    Args:
        units: Paired files; those that are no metrics files are passed over.
    """
    runs = _runs(unit for unit in units if unit.place.endswith(".json"))
    return [
        score(*key, *sides)
        for key, sides in runs.items()
        if all(sides) and None not in (*sides[0], *sides[1])
    ]


def score(chain: str, part: str, name: str, a: Sequence[float], b: Sequence[float]) -> Score:
    """Compare the runs of one score; see :class:`Score`."""
    difference, noise = statistics.fmean(b) - statistics.fmean(a), seed_noise(a, b)
    return Score(
        chain, part, name, a, b, difference, noise, _verdict(sorted(a) == sorted(b), difference, noise)
    )


def seed_noise(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Half of the 95 % interval of the difference between two means; None where no side has two runs."""
    freedom = len(a) + len(b) - 2
    if freedom < 1:
        return None
    from scipy.stats import t  # takes a second to import

    squares = sum(statistics.variance(runs) * (len(runs) - 1) for runs in (a, b) if len(runs) > 1)
    error = (squares / freedom * (1 / len(a) + 1 / len(b))) ** 0.5
    return float(t.ppf(0.975, freedom)) * error


def _verdict(equal: bool, difference: float, noise: float | None) -> Comparable:
    if equal:
        return Comparable.EQUAL
    if noise is None:
        return Comparable.UNKNOWN
    return Comparable.INSIDE if abs(difference) <= noise else Comparable.OUTSIDE


Key = tuple[str, str, str]
Sides = tuple[list[float], list[float]]


def _runs(units: Iterable[Unit]) -> dict[Key, Sides]:
    """Each side's values by chain, part and score: of the runs' own files, else of the summaries."""
    single: dict[Key, Sides] = {}
    summaries: dict[Key, Sides] = {}
    for unit in units:
        for side, files in enumerate((unit.a, unit.b)):
            for path in files.values():
                document = _document(path)
                found = summaries if document.get("form") == "summary" else single
                for part, name, values in _values(document):
                    key = (SEED.sub("", unit.place), part, name)
                    found.setdefault(key, ([], []))[side].extend(values)
    return single if any(all(sides) for sides in single.values()) else summaries


def _document(path: Path) -> dict[str, Any]:
    """A metrics file; empty if it is another file, or damaged, which is said in its own line."""
    try:
        document = read_json(path)
    except ArtefactError:
        return {}
    known = isinstance(document, Mapping) and document.get("form") in ("scores", "summary")
    return document if known else {}


def _values(document: Mapping[str, Any]) -> Iterator[tuple[str, str, list[float]]]:
    """The scores in a metrics file: part, name and the runs' values."""
    for part, scores in _parts(document):
        for name in SCORES:
            if name in scores:
                value = scores[name]
                yield part, name, value["runs"] if isinstance(value, Mapping) else [value]


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if document.get("form") == "summary":
        yield from document["stages"].items()
        return
    yield "", document
    if "configured" in document:
        yield "at the configured threshold", document["configured"]
    for rule, scores in document.get("rules", {}).items():
        yield f"by rule {rule}", scores
    for name, scores in document.get("inferences", {}).items():
        if name != document.get("inference"):
            yield f"inference {name}", scores
