"""Differences between scores, with the noise between runs beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from wsss.artefacts.formats import Values
from wsss.artefacts.identity import read_header
from wsss.diff.pairing import Unit
from wsss.methods.metric_table import METRICS

RUN = re.compile(r"\brun\d+/")
EQUAL = "none: equal"
INSIDE = "none: inside the noise between runs"
OUTSIDE = "larger than the noise between runs"
UNKNOWN = "not known: one run a side tells no noise"


@dataclass(frozen=True)
class Score:
    """A score of one chain on both sides: the values of all runs, fractions of 1."""

    chain: str  # path of the metrics file without its run
    part: str  # what was scored there, where the file holds more than one: an inference, a threshold, a stage
    name: str
    a: Sequence[float]
    b: Sequence[float]

    @property
    def difference(self) -> float:
        """Mean of ``b`` minus mean of ``a``."""
        return fmean(self.b) - fmean(self.a)

    @property
    def noise(self) -> float | None:
        """Differences up to this are noise; None if no side has two runs.

        Half of the 95 % interval of the difference between means of as many runs, by Student's t with the
        runs' pooled deviation.
        """
        freedom = len(self.a) + len(self.b) - 2
        if freedom < 1:
            return None
        from scipy.stats import t  # takes a second to import

        squares = sum(variance(runs) * (len(runs) - 1) for runs in (self.a, self.b) if len(runs) > 1)
        error = (squares / freedom * (1 / len(self.a) + 1 / len(self.b))) ** 0.5
        return float(t.ppf(0.975, freedom)) * error

    @property
    def verdict(self) -> str:
        """What the difference is worth."""
        noise = self.noise
        if sorted(self.a) == sorted(self.b):
            return EQUAL
        if noise is None:
            return UNKNOWN
        return INSIDE if abs(self.difference) <= noise else OUTSIDE


def compare_scores(units: Iterable[Unit]) -> list[Score]:
    """The scores that both sides have, over their runs.

    A data set's summary is read only where the runs' own files are not there.

    Args:
        units: Paired files; those that are no metrics files are passed over.
    """
    found: dict[str, dict[tuple[str, str, str], tuple[list[Any], list[Any]]]] = {"scores": {}, "summary": {}}
    for unit in units:
        for side, files in enumerate((unit.a, unit.b)):
            document = _document(files.get(""))
            for part, name, values in _values(document):
                key = (RUN.sub("", unit.place), part, name)
                found[document["form"]].setdefault(key, ([], []))[side].extend(values)
    scores = found["scores"] if any(all(sides) for sides in found["scores"].values()) else found["summary"]
    return [Score(*key, a, b) for key, (a, b) in scores.items() if a and b and None not in (*a, *b)]


def _document(path: Path | None) -> dict[str, Any]:
    """A metrics file; empty if it is another file, or damaged, which is said in its own line."""
    document = read_header(path) if path and path.suffix == ".json" else {}
    return document if document.get("form") in ("scores", "summary") else {}


def _values(document: Values) -> Iterator[tuple[str, str, list[Any]]]:
    """The scores in a metrics file: part, name and the runs' values."""
    for part, scores in _parts(document):
        for name in (name for name in METRICS if name in scores):
            value = scores[name]
            yield part, name, value["runs"] if isinstance(value, Mapping) else [value]


def _parts(document: Values) -> Iterator[tuple[str, Values]]:
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
