"""Compare two folders of results, or two files, and find where they part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wsss.artefacts.formats import (
    ArtefactError,
    Manifest,
    form_of,
    label_path,
    read_label_index,
    read_manifest,
)
from wsss.diff.causes import Cause, Equivalents, find_cause, other_making
from wsss.diff.findings import AGREEING, Change, Difference, Verdict
from wsss.diff.labels import compare_labels, compare_masks
from wsss.diff.metrics import Score, compare_scores
from wsss.diff.pairing import MANIFEST, Parts, Unit, find_units, within
from wsss.diff.tensors import compare_counts, compare_maps, compare_views, compare_weights
from wsss.diff.values import (
    check_data,
    compare_files,
    compare_manifests,
    compare_results,
    compare_tables,
    same_bytes,
)

# Rules that read the whole data set's results, whatever the chain.
GATHERING = ("summarise_seeds", "summarise_apc", "tabulate_ablations", "compare", "draw_comparison")

Compare = Callable[[Parts, Parts, Sequence[str]], Difference]
FORMS: dict[str, Compare] = {
    "manifest": lambda a, b, classes: compare_manifests(a, b),
    "weights": lambda a, b, classes: compare_weights(a, b),
    "maps": lambda a, b, classes: compare_maps(a, b),
    "views": lambda a, b, classes: compare_views(a, b, "views"),
    "attention": lambda a, b, classes: compare_views(a, b, "attention"),
    "counts": lambda a, b, classes: compare_counts(a, b),
    "labels": compare_labels,
    "results": lambda a, b, classes: compare_results(a, b),
    "table": lambda a, b, classes: compare_tables(a, b),
    "mask": lambda a, b, classes: compare_masks(a[""], b[""], classes),
    "files": lambda a, b, classes: compare_files(a, b),
}


@dataclass(frozen=True)
class Finding:
    """What was found of one output of a rule.

    Attributes:
        unit: Its files.
        form: Name of its form, a key of :data:`FORMS`.
        verdict: Whether the two sides agree.
        difference: By how much they do not.
        cause: What differs in how they were made.
        own: Those settings that differ here for the first time in the chain.
        origin: Whether the two runs part here: it differs, and all that it was made from does not.
    """

    unit: Unit
    form: str
    verdict: Verdict
    difference: Difference = field(default_factory=lambda: Difference(True))
    cause: Cause = field(default_factory=Cause)
    own: Sequence[Change] = ()
    origin: bool = False


@dataclass(frozen=True)
class Comparison:
    """All that was found.

    Attributes:
        a: One folder or file.
        b: The other.
        findings: A finding an output, in the order of the pipeline.
        scores: The scores that both sides have, over their seeds.
    """

    a: Path
    b: Path
    findings: Sequence[Finding]
    scores: Sequence[Score] = field(default_factory=list)

    @property
    def status(self) -> int:
        """0: all is equal; 1: something differs or is missing; 2: something could not be compared."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.UNREADABLE in verdicts:
            return 2
        return int(not verdicts <= set(AGREEING))

    @property
    def origins(self) -> list[Finding]:
        """Where the two part, a finding a job, the first place first."""
        jobs: dict[tuple[str, tuple[str, ...]], Finding] = {}
        for finding in self.findings:
            job = (finding.unit.rule, finding.unit.chain)
            if finding.origin and not (job in jobs and jobs[job].cause.recorded):
                jobs[job] = finding
        return list(jobs.values())


def compare(a: Path, b: Path) -> Comparison:
    """Compare two folders of results, or two files; reads an image, a tensor or a table at a time.

    Raises:
        ArtefactError: If there is nothing to compare: a side is missing, it is another data set, or the two
            have no output in common.
    """
    units = find_units(a, b)
    shared = [unit for unit in units if unit.a and unit.b]
    if not shared:
        raise ArtefactError(f"{a} and {b}: no stage's output is in both, nothing can be compared")
    classes = _check_data(shared)
    same = Equivalents()
    findings: list[Finding] = []
    for unit in units:
        findings.append(_finding(unit, classes, same, findings))
    return Comparison(a, b, _with_origin(findings), compare_scores(shared))


def _check_data(units: Sequence[Unit]) -> dict[Path | None, Sequence[str]]:
    """The classes of each data set's folder on side A; refuses other data on side B."""
    classes: dict[Path | None, Sequence[str]] = {None: ()}
    for unit in units:
        one, other = (within(next(iter(parts.values())))[0] for parts in (unit.a, unit.b))
        if one not in classes:
            data = read_manifest_in(one)
            classes[one] = data.classes if data else ()
            if data and (partner := read_manifest_in(other)):
                check_data(data, partner)
    return classes


def read_manifest_in(folder: Path | None) -> Manifest | None:
    """The manifest of a data set's folder; None where there is none that can be read."""
    try:
        return read_manifest(folder / MANIFEST) if folder else None
    except ArtefactError:  # said of the manifest's own line
        return None


def _finding(
    unit: Unit, classes: dict[Path | None, Sequence[str]], same: Equivalents, earlier: Sequence[Finding]
) -> Finding:
    """Compare one output; takes note of files that are the same but for their bytes."""
    if not unit.a or not unit.b:
        return Finding(unit, "", Verdict.ONLY_A if unit.a else Verdict.ONLY_B)
    form = ""
    try:
        form = _form(unit)
        if _all_bytes(unit, form):
            return Finding(unit, form, Verdict.EQUAL, cause=Cause(made=other_making(unit)))
        if _is_drawn(unit):
            return Finding(unit, form, Verdict.NOT_COMPARED)
        folder, _ = within(next(iter(unit.a.values())))
        difference = FORMS[form](unit.a, unit.b, classes[folder])
        cause = find_cause(unit, same)
    except (ArtefactError, OSError) as error:
        return Finding(unit, form, Verdict.UNREADABLE, Difference(False, str(error)))
    if difference.same:
        same.add(unit)
        return Finding(unit, form, Verdict.SAME, difference, cause)
    own = _own(cause, earlier)
    above = [finding for finding in earlier if _is_above(finding.unit, unit)]
    parted = any(finding.verdict not in AGREEING for finding in above)
    origin = not cause.inputs if cause.recorded else not parted
    return Finding(unit, form, Verdict.DIFFERS, difference, cause, own, origin)


def _form(unit: Unit) -> str:
    """What the files of a unit are: the form that the artefact names, or what its ending tells."""
    forms = sorted({_form_of(unit, parts) for parts in (unit.a, unit.b)})
    if len(forms) > 1:
        raise ArtefactError(f"expected two files of one form, found {forms[0]} and {forms[1]}")
    return forms[0]


def _form_of(unit: Unit, parts: Parts) -> str:
    path = next(iter(parts.values()))
    if path.suffix in (".safetensors", ".jsonl"):
        return form_of(path)
    if "" not in parts:
        return "files"
    single = {".json": "results", ".csv": "table", ".png": "files" if _is_drawn(unit) else "mask"}
    return single.get(path.suffix, "files")


def _is_drawn(unit: Unit) -> bool:
    return unit.rule.startswith("draw")


def _all_bytes(unit: Unit, form: str) -> bool:
    """Whether all files of both sides have the same bytes, label maps included."""
    if unit.a.keys() != unit.b.keys():
        return False
    pairs = [(unit.a[name], unit.b[name]) for name in unit.a]
    return all(same_bytes(*pair) and (form != "labels" or _same_maps(*pair)) for pair in pairs)


def _same_maps(a: Path, b: Path) -> bool:
    """Whether the label maps of two equal indexes are the same bytes, too."""
    images = read_label_index(a).ids
    folders = a.with_suffix(""), b.with_suffix("")
    return all(same_bytes(*(label_path(folder, image) for folder in folders)) for image in images)


def _own(cause: Cause, earlier: Sequence[Finding]) -> list[Change]:
    """Settings that differ and did not in an earlier output, whose settings later headers repeat."""
    known = {
        (change.name.rpartition(".")[2], str(change.a), str(change.b))
        for finding in earlier
        for change in finding.cause.settings
    }
    return [
        change
        for change in cause.settings
        if (change.name.rpartition(".")[2], str(change.a), str(change.b)) not in known
    ]


def _is_above(upper: Unit, unit: Unit) -> bool:
    """Whether, by rule and place, an output may be made from another."""
    if upper.rank >= unit.rank:
        return False
    if unit.rule in GATHERING or unit.rule.startswith("draw"):
        return upper.chain[: len(unit.chain)] == unit.chain
    return unit.chain[: len(upper.chain)] == upper.chain


def _with_origin(findings: list[Finding]) -> list[Finding]:
    """The findings, of which the first that differs is an origin if none is by its inputs."""
    differing = [place for place, finding in enumerate(findings) if finding.verdict is Verdict.DIFFERS]
    if differing and not any(finding.origin for finding in findings):
        first = differing[0]
        findings[first] = replace(findings[first], origin=True)
    return findings
