"""A comparison in words: for the terminal, and the sentences of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from statistics import fmean

from pydantic_core import to_json
from tabulate import tabulate

from wsss.diff.comparison import Comparison, Finding
from wsss.diff.findings import Change, Verdict
from wsss.diff.metrics import EQUAL
from wsss.diff.pairing import SOURCE
from wsss.methods.metric_table import METRICS, SHOWN

STAGES = ("stage", "artefact", "verdict", "difference")
SCORES = ("scores of", "", "A, %", "B, %", "B - A", "noise", "difference")
ALIGNED = ("left", "left", "right", "right", "right", "right", "left")  # columns of the scores
NOISE = (
    "noise: half of the 95 % interval of a difference between means of so many runs (Student's t); "
    "a difference inside it is none"
)


def format_comparison(comparison: Comparison) -> str:
    """The comparison as tables and sentences."""
    tables = [tabulate(stage_rows(comparison), STAGES, "plain", disable_numparse=True)]
    if scores := score_rows(comparison):
        tables.append(tabulate(scores, SCORES, "plain", disable_numparse=True, colalign=ALIGNED))
    return "\n\n".join([f"A: {comparison.a}\nB: {comparison.b}", *tables, "\n".join(sentences(comparison))])


def stage_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """One row per finding: rule, place, verdict and amounts; what a side alone has is one row per stage."""
    rows: dict[tuple[str, ...], list[Finding]] = {}
    for finding in comparison.findings:
        alone = finding.verdict in (Verdict.ONLY_A, Verdict.ONLY_B)
        key = (finding.unit.rule, finding.verdict) if alone else (finding.unit.place,)
        rows.setdefault(key, []).append(finding)
    return [
        (
            first.unit.rule,
            f"{first.unit.place} and {len(more)} more" if more else first.unit.place,
            first.verdict.value,
            str(first.difference),
        )
        for first, *more in rows.values()
    ]


def score_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """One row per score that differs, in percent."""
    scores = [score for score in comparison.scores if score.verdict != EQUAL and score.name in SHOWN]
    return [
        (
            f"{score.chain} {score.part}".rstrip(),
            METRICS[score.name].title,
            *(f"{100 * fmean(runs):.2f}" for runs in (score.a, score.b)),
            f"{100 * score.difference:+.2f}",
            "" if score.noise is None else f"{100 * score.noise:.2f}",
            score.verdict,
        )
        for score in scores
    ]


def sentences(comparison: Comparison) -> list[str]:
    """What the comparison comes to, line by line."""
    noisy = any(score.noise is not None for score in comparison.scores if score.verdict != EQUAL)
    lines = [*_origins(comparison), *_further(comparison), *_missing(comparison), *([NOISE] if noisy else [])]
    counts = Counter(finding.verdict for finding in comparison.findings)
    listed = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    return [*lines, f"{('equal', 'different', 'not all could be compared')[comparison.status]}: {listed}"]


def _origins(comparison: Comparison) -> Iterator[str]:
    """Where the two part first and why; then where else they do by themselves."""
    places: dict[tuple[str, str], list[str]] = {}
    for finding in comparison.origins:
        places.setdefault((finding.unit.rule, why(finding)), []).append(finding.unit.place)
    start = "the two part at"
    for (rule, reason), names in places.items():
        yield f"{start} {rule} ({', '.join(names)}): {reason}"
        start = "and by itself at"


def why(finding: Finding) -> str:
    """Why an output differs although what it was made from does not."""
    parts = {
        "inputs that are not here to compare: ": finding.inputs,
        "settings: ": finding.settings,
        "made with: ": finding.code,
    }
    if reasons := [start + ", ".join(map(str, found)) for start, found in parts.items() if found]:
        return "; ".join(reasons)
    if finding.form == "manifest" or finding.unit.name == SOURCE:
        return "the data differ"
    if all(finding.unit.jobs):
        return "same settings, inputs and code: chance, other versions of the packages, or another machine"
    return "no job is named on both sides to tell whether settings or code differ"


def _further(comparison: Comparison) -> Iterator[str]:
    """Settings that differ further on, where the outputs differ anyway; code that differs without effect."""
    said: set[tuple[str, ...]] = set()  # later stages repeat some settings
    idle: dict[str, None] = {}
    for finding in comparison.findings:
        if finding.agrees:
            idle |= {finding.unit.rule: None} if finding.code else {}
            continue
        own = [change for change in finding.settings if _last(change) not in said]
        said |= {_last(change) for change in own}
        if own and not finding.origin:
            changed = ", ".join(map(str, own))
            yield f"also set otherwise at {finding.unit.rule} ({finding.unit.place}): {changed}"
    if idle:
        yield f"made with other code, and yet the same: {', '.join(idle)}"


def _last(change: Change) -> tuple[str, ...]:
    return change.name.rpartition(".")[2], str(change.a), str(change.b)


def _missing(comparison: Comparison) -> Iterator[str]:
    """What a side lacks, one line per side."""
    for verdict, side, lacking in ((Verdict.ONLY_A, "b", "B"), (Verdict.ONLY_B, "a", "A")):
        present = {finding.unit.rule for finding in comparison.findings if getattr(finding.unit, side)}
        counts = Counter(finding.unit.rule for finding in comparison.findings if finding.verdict is verdict)
        if counts:
            parts = [f"{count if rule in present else 'all'} of {rule}" for rule, count in counts.items()]
            yield f"{lacking} is missing {', '.join(parts)}"


def as_json(comparison: Comparison) -> str:
    """The comparison as JSON; numbers that JSON does not know are null."""
    document = {
        "form": "diff",
        "a": comparison.a,
        "b": comparison.b,
        "status": comparison.status,
        "parted": [{**_named(finding), "why": why(finding)} for finding in comparison.origins],
        "stages": [
            {
                **_named(finding),
                "form": finding.form or None,
                "verdict": finding.verdict,
                "agrees": finding.agrees,
                "difference": finding.difference.text,
                "amounts": finding.difference.amounts,
                "notes": finding.difference.notes,
                "worst": [{"image": key, "difference": far} for key, far in finding.difference.worst.items()],
                "settings": finding.settings,
                "inputs": finding.inputs,
                "made_with": finding.code,
                "origin": finding.origin,
            }
            for finding in comparison.findings
        ],
        "scores": [
            {**asdict(score), "difference": score.difference, "noise": score.noise, "verdict": score.verdict}
            for score in comparison.scores
        ],
    }
    return to_json(document, indent=2, inf_nan_mode="null").decode()


def _named(finding: Finding) -> dict[str, str]:
    return {"stage": finding.unit.rule, "artefact": finding.unit.place}
