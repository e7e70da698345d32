"""A comparison in words: for the terminal, and the sentences of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from wsss.diff.comparison import Comparison, Finding
from wsss.diff.findings import AGREEING, Change, Verdict, number
from wsss.diff.metrics import Comparable, Score
from wsss.methods.metric_table import METRICS, SHOWN

STAGES = ("stage", "artefact", "verdict", "difference")
SCORES = ("scores of", "", "A, %", "B, %", "B - A", "noise", "difference")
NUMERIC = range(2, 6)  # columns of the scores' table


def format_comparison(comparison: Comparison) -> str:
    """The comparison as tables and sentences."""
    rows = [STAGES, *stage_rows(comparison)]
    parts = [f"A: {comparison.a}\nB: {comparison.b}", "\n".join(_aligned(rows))]
    shown = shown_scores(comparison.scores)
    if shown:
        parts.append("\n".join(_aligned([SCORES, *map(score_row, shown)], NUMERIC)))
    return "\n\n".join([*parts, "\n".join(sentences(comparison))])


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def stage_row(finding: Finding) -> tuple[str, str, str, str]:
    """A finding's cells: rule, place, verdict and amounts."""
    difference = finding.difference
    amounts = "; ".join(part for part in (difference.text, *difference.notes) if part)
    return finding.unit.rule, finding.unit.place, finding.verdict.value, amounts


def stage_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """One row per finding; what a side alone has is one row a stage."""
    alone: dict[tuple[str, Verdict], list[str]] = {}
    for finding in comparison.findings:
        if finding.verdict in (Verdict.ONLY_A, Verdict.ONLY_B):
            alone.setdefault((finding.unit.rule, finding.verdict), []).append(finding.unit.place)
    rows = []
    for finding in comparison.findings:
        places = alone.get((finding.unit.rule, finding.verdict), [finding.unit.place])
        row = stage_row(finding)
        if len(places) == 1:
            rows.append(row)
        elif finding.unit.place == places[0]:
            rows.append((row[0], f"{places[0]} and {len(places) - 1} more", row[2], row[3]))
    return rows


def shown_scores(scores: Sequence[Score]) -> list[Score]:
    """The scores worth a line: those that differ."""
    return [score for score in scores if score.verdict is not Comparable.EQUAL and score.name in SHOWN]


def score_row(score: Score) -> tuple[str, ...]:
    """A score's cells, in percent."""
    means = [100 * sum(runs) / len(runs) for runs in (score.a, score.b)]
    noise = "" if score.noise is None else f"{100 * score.noise:.2f}"
    where = f"{score.chain} {score.part}".rstrip()
    numbers = (*(f"{mean:.2f}" for mean in means), f"{100 * score.difference:+.2f}", noise)
    return where, METRICS[score.name].title, *numbers, score.verdict.value


def sentences(comparison: Comparison) -> list[str]:
    """What the comparison comes to, line by line."""
    lines = [*_origins(comparison), *_further(comparison), *_missing(comparison), *_noise(comparison.scores)]
    return [*lines, _total(comparison)]


def _missing(comparison: Comparison) -> Iterator[str]:
    """What a side lacks, one line per side: whole stages first."""
    for verdict, side, lacking in ((Verdict.ONLY_A, "b", "B"), (Verdict.ONLY_B, "a", "A")):
        present = {finding.unit.rule for finding in comparison.findings if getattr(finding.unit, side)}
        alone = [finding.unit for finding in comparison.findings if finding.verdict is verdict]
        counts = Counter(unit.rule for unit in alone)
        stages = [rule for rule in counts if rule not in present]
        outputs = [f"{counts[rule]} of {rule}" for rule in counts if rule in present]
        if stages:
            yield f"{lacking} is missing the stages {', '.join(stages)}"
        if outputs:
            yield f"{lacking} is missing artefacts: {', '.join(outputs)}"


def _origins(comparison: Comparison) -> Iterator[str]:
    """Where the two part first and why; then where else they do by themselves."""
    places: dict[tuple[str, str], list[str]] = {}
    for finding in comparison.origins:
        places.setdefault((finding.unit.rule, why(finding)), []).append(finding.unit.place)
    for place, ((rule, reason), names) in enumerate(places.items()):
        start = "the two part at" if place == 0 else "and by itself at"
        yield f"{start} {rule} ({', '.join(names)}): {reason}"


def why(finding: Finding) -> str:
    """Why an output differs although what it was made from does not."""
    cause = finding.cause
    reasons = []
    if cause.inputs:
        reasons.append(f"inputs differ ({', '.join(cause.inputs)}), which are not here to compare")
    if cause.settings:
        reasons.append("settings: " + ", ".join(map(str, cause.settings)))
    if cause.code:
        reasons.append("made with: " + ", ".join(map(str, cause.code)))
    if reasons:
        return "; ".join(reasons)
    if finding.unit.rule in ("prepare_manifest", "generate_sample"):
        return "the data differ"
    if cause.known:
        return "same settings, inputs and code: chance, other versions of the packages, or another machine"
    return "no job is named on both sides to tell whether settings or code differ"


def _further(comparison: Comparison) -> Iterator[str]:
    """Settings that differ further on, where the outputs differ anyway; code that differs without effect."""
    said: set[tuple[str, ...]] = set()  # later stages repeat some settings
    for finding in comparison.findings:
        if finding.verdict not in AGREEING:
            own = [change for change in finding.cause.settings if _short(change) not in said]
            said |= {_short(change) for change in own}
            if own and not finding.origin:
                changed = ", ".join(map(str, own))
                yield f"also set otherwise at {finding.unit.rule} ({finding.unit.place}): {changed}"
    agreeing = (finding for finding in comparison.findings if finding.verdict in AGREEING)
    idle = dict.fromkeys(finding.unit.rule for finding in agreeing if finding.cause.code)
    if idle:
        yield f"made with other code, and yet the same: {', '.join(idle)}"


def _short(change: Change) -> tuple[str, ...]:
    return change.name.rpartition(".")[2], str(change.a), str(change.b)


def _noise(scores: Sequence[Score]) -> Iterator[str]:
    noisy = [score for score in scores if score.noise is not None and score.verdict is not Comparable.EQUAL]
    if noisy:
        yield (
            "noise: half of the 95 % interval of a difference between means of so many seeds (Student's t); "
            "a difference inside it is none"
        )


def _total(comparison: Comparison) -> str:
    counts = Counter(finding.verdict for finding in comparison.findings)
    listed = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    result = ("equal", "different", "not all could be compared")[comparison.status]
    return f"{result}: {listed}"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "form": "diff",
        "a": str(comparison.a),
        "b": str(comparison.b),
        "status": comparison.status,
        "parted": [
            {"stage": finding.unit.rule, "artefact": finding.unit.place, "why": why(finding)}
            for finding in comparison.origins
        ],
        "stages": [_finding(finding) for finding in comparison.findings],
        "scores": [{**score._asdict(), "verdict": score.verdict.value} for score in comparison.scores],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    cause, difference = finding.cause, finding.difference
    return {
        "stage": finding.unit.rule,
        "artefact": finding.unit.place,
        "form": finding.form or None,
        "verdict": finding.verdict.value,
        "agrees": finding.verdict in AGREEING,
        "difference": difference.text,
        "amounts": dict(difference.amounts),
        "notes": list(difference.notes),
        "worst": [{"image": image, "difference": number(apart)} for image, apart in difference.worst],
        "settings": [change._asdict() for change in cause.settings],
        "inputs": list(cause.inputs),
        "made_with": [change._asdict() for change in cause.code],
        "origin": finding.origin,
    }
