"""Compare two folders of results, or two files, and find where they part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from wsss.artefacts.formats import (
    ArtefactError,
    Manifest,
    form_of,
    label_path,
    read_label_index,
    read_manifest,
)
from wsss.diff.causes import Cause, Equivalents, find_cause
from wsss.diff.findings import AGREEING, Difference, Verdict
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

FORMS: dict[str, Callable[[Parts, Parts], Difference]] = {
    "manifest": compare_manifests,
    "weights": compare_weights,
    "maps": compare_maps,
    "views": partial(compare_views, form="views"),
    "attention": partial(compare_views, form="attention"),
    "counts": compare_counts,
    "labels": lambda a, b: compare_labels(a, b, classes_of(a)),
    "mask": lambda a, b: compare_masks(a[""], b[""], classes_of(a)),
    "results": compare_results,
    "table": compare_tables,
    "files": compare_files,
}
ENDINGS = {".json": "results", ".csv": "table", ".png": "mask"}


@dataclass(frozen=True)
class Finding:
    """What was found of one output of a rule.

    Attributes:
        unit: Its files.
        form: Name of its form, a key of :data:`FORMS`.
        verdict: Whether the two sides agree.
        difference: By how much they do not.
        cause: What differs in how they were made.
        origin: Whether the two runs part here: it differs, and all that it was made from does not.
    """

    unit: Unit
    form: str
    verdict: Verdict
    difference: Difference = field(default_factory=lambda: Difference(True))
    cause: Cause = field(default_factory=Cause)
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
        jobs: dict[object, Finding] = {}
        for finding in self.findings:
            job = finding.unit.key
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
    _manifest_in.cache_clear()
    for unit in shared:
        datas = [manifest_of(parts) for parts in (unit.a, unit.b)]
        if datas[0] and datas[1]:
            check_data(datas[0], datas[1])
    same = Equivalents()
    findings: list[Finding] = []
    for unit in units:
        findings.append(_finding(unit, same, findings))
    return Comparison(a, b, _with_origin(findings), compare_scores(shared))


def manifest_of(parts: Parts) -> Manifest | None:
    """The manifest of the data set whose folder some files lie in; None if none can be read."""
    return _manifest_in(within(next(iter(parts.values())))[0])


@cache
def _manifest_in(folder: Path | None) -> Manifest | None:
    try:
        return read_manifest(folder / MANIFEST) if folder else None
    except ArtefactError:  # said of the manifest's own line
        return None


def classes_of(parts: Parts) -> Sequence[str]:
    """The classes of that data set, none where it is not known."""
    data = manifest_of(parts)
    return data.classes if data else ()


def _finding(unit: Unit, same: Equivalents, earlier: Sequence[Finding]) -> Finding:
    """Compare one output; takes note of files that are the same but for their bytes."""
    if not unit.a or not unit.b:
        return Finding(unit, "", Verdict.ONLY_A if unit.a else Verdict.ONLY_B)
    form = ""
    try:
        form = _form(unit)
        if _all_bytes(unit, form):
            return Finding(unit, form, Verdict.EQUAL)
        if _is_drawn(unit):
            return Finding(unit, form, Verdict.NOT_COMPARED)
        difference, cause = FORMS[form](unit.a, unit.b), find_cause(unit, same)
    except (ArtefactError, OSError) as error:
        return Finding(unit, form, Verdict.UNREADABLE, Difference(False, str(error)))
    if difference.same:
        same.add(unit)
        return Finding(unit, form, Verdict.SAME, difference, cause)
    parted = any(one.verdict not in AGREEING for one in earlier if unit.may_rest_on(one.unit))
    origin = not cause.inputs if cause.recorded else not parted
    return Finding(unit, form, Verdict.DIFFERS, difference, cause, origin)


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
    return "files" if "" not in parts or _is_drawn(unit) else ENDINGS.get(path.suffix, "files")


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


def _with_origin(findings: list[Finding]) -> list[Finding]:
    """The findings, of which the first that differs is an origin if none is by its inputs."""
    differing = [place for place, finding in enumerate(findings) if finding.verdict is Verdict.DIFFERS]
    if differing and not any(finding.origin for finding in findings):
        first = differing[0]
        findings[first] = replace(findings[first], origin=True)
    return findings
