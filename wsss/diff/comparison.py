"""Compare two folders of results, or two files, and find where they part and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from wsss.artefacts.formats import ArtefactError, Manifest, form_of, read_manifest
from wsss.artefacts.identity import content_digest, read_header
from wsss.diff.findings import AGREEING, Change, Difference, Verdict
from wsss.diff.labels import compare_labels, label_files
from wsss.diff.metrics import Score, compare_scores
from wsss.diff.pairing import Parts, Unit, find_units, headers
from wsss.diff.tensors import compare_counts, compare_maps, compare_tensors
from wsss.diff.values import (
    changes,
    check_data,
    compare_files,
    compare_manifests,
    compare_results,
    compare_tables,
    same_bytes,
)

MANIFEST = "manifest.jsonl"
FORMS: dict[str, Callable[[Parts, Parts], Difference]] = {
    "manifest": compare_manifests,
    "weights": partial(compare_tensors, form="weights"),
    "views": partial(compare_tensors, form="views"),
    "attention": partial(compare_tensors, form="attention"),
    "maps": compare_maps,
    "counts": compare_counts,
    "labels": lambda a, b: compare_labels(a, b, classes_of(a)),
    "results": compare_results,
    "table": compare_tables,
    "files": compare_files,
}
ENDINGS = {".json": "results", ".csv": "table", ".png": "labels"}
DRAWN = (".html", ".svg", "examples.png")  # ends of names


@dataclass
class Finding:
    """What was found of one output of a rule, and what differs in how its two sides were made."""

    unit: Unit
    verdict: Verdict
    form: str = ""  # a key of FORMS
    difference: Difference = field(default_factory=Difference)
    settings: Sequence[Change] = ()
    inputs: Sequence[str] = ()  # names of those whose contents differ
    code: Sequence[Change] = ()  # its digests, if they differ
    origin: bool = False  # the two runs part here: it differs, and all that it was made from does not

    @property
    def agrees(self) -> bool:
        """Whether the two sides have no difference that counts."""
        return self.verdict in AGREEING


@dataclass(frozen=True)
class Comparison:
    """All that was found of two folders or files."""

    a: Path
    b: Path
    findings: Sequence[Finding]  # one per output, in the order in which they are made
    scores: Sequence[Score]

    @property
    def status(self) -> int:
        """0: all is equal; 1: something differs or is missing; 2: something could not be compared."""
        if any(finding.verdict is Verdict.UNREADABLE for finding in self.findings):
            return 2
        return int(not all(finding.agrees for finding in self.findings))

    @property
    def origins(self) -> list[Finding]:
        """Where the two part, one finding per job, the first place first."""
        jobs: dict[object, Finding] = {}
        for finding in self.findings:
            if finding.origin:
                jobs.setdefault(finding.unit.key, finding)
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
    for folders in {(data_folder(unit.a), data_folder(unit.b)) for unit in shared}:
        one, other = map(_manifest_in, folders)
        if one and other:
            check_data(one, other)
    findings = [_finding(unit) for unit in units]
    same = {  # one name for the digests of files of one content
        content_digest(path): unit.place
        for unit in (finding.unit for finding in findings if finding.verdict is Verdict.SAME)
        for path in (*unit.a.values(), *unit.b.values())
    }
    for place, finding in enumerate(findings):
        if finding.verdict in (Verdict.SAME, Verdict.DIFFERS):
            _explain(finding, same, findings[:place])
    differing = [finding for finding in findings if finding.verdict is Verdict.DIFFERS]
    if differing and not any(finding.origin for finding in findings):
        differing[0].origin = True  # what it was made from is not here
    return Comparison(a, b, findings, compare_scores(shared))


def data_folder(parts: Parts) -> Path | None:
    """The data set's folder that some files lie in; None if they lie in none."""
    parents = next(iter(parts.values())).absolute().parents
    return next((folder for folder in parents if (folder / MANIFEST).is_file()), None)


def manifest_of(parts: Parts) -> Manifest | None:
    """The manifest of that folder; None if none can be read."""
    return _manifest_in(data_folder(parts))


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


def _finding(unit: Unit) -> Finding:
    """Compare one output."""
    if not unit.a or not unit.b:
        return Finding(unit, Verdict.ONLY_A if unit.a else Verdict.ONLY_B)
    form = ""
    try:
        form = _form(unit)
        if _equal(unit, form):
            return Finding(unit, Verdict.EQUAL, form)
        if unit.place.endswith(DRAWN):
            return Finding(unit, Verdict.NOT_COMPARED, form)
        difference = FORMS[form](unit.a, unit.b)
        return Finding(unit, Verdict.SAME if difference.same else Verdict.DIFFERS, form, difference)
    except (ArtefactError, OSError) as error:
        return Finding(unit, Verdict.UNREADABLE, form, Difference(str(error)))


def _explain(finding: Finding, same: Mapping[str, str], earlier: Iterable[Finding]) -> None:
    """Add to a difference, if only of the bytes, its cause, and whether the two runs part here.

    Args:
        finding: What was found of one output.
        same: One name for the digests of files of one content.
        earlier: What was found of the outputs before, one of which is the cause where no inputs are named.
    """
    unit = finding.unit
    one, other = (_inputs(parts, same) for parts in (unit.a, unit.b))
    finding.inputs = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    a, b = unit.jobs
    if a and b:
        finding.settings = changes(a.settings, b.settings)
        finding.code = changes({"code": a.code}, {"code": b.code})
    if finding.verdict is Verdict.DIFFERS:
        rests = (before for before in earlier if unit.may_rest_on(before.unit))
        finding.origin = not finding.inputs if one and other else all(before.agrees for before in rests)


def _form(unit: Unit) -> str:
    """What the files of a unit are: the form that the artefact names, or what its ending tells."""
    forms = sorted({_form_of(parts) for parts in (unit.a, unit.b)})
    if len(forms) > 1:
        raise ArtefactError(f"expected two files of one form, found {forms[0]} and {forms[1]}")
    return forms[0]


def _form_of(parts: Parts) -> str:
    path = next(iter(parts.values()))
    if path.suffix in (".safetensors", ".jsonl"):
        return form_of(path)
    whole = "" in parts and not path.name.endswith(DRAWN)
    return ENDINGS.get(path.suffix, "files") if whole else "files"


def _equal(unit: Unit, form: str) -> bool:
    """Whether all files of both sides have the same bytes, label maps included."""
    sides = [(unit.a, unit.b)]
    if form == "labels":
        sides.append((label_files(unit.a), label_files(unit.b)))
    return all(a.keys() == b.keys() and all(same_bytes(a[name], b[name]) for name in a) for a, b in sides)


def _inputs(parts: Parts, same: Mapping[str, str]) -> dict[str, set[str]]:
    """The digests of the inputs of all parts by the input's name, with one name for those of one content."""
    inputs: dict[str, set[str]] = {}
    for path in headers(parts):
        for name, value in read_header(path).get("inputs", {}).items():
            found = [value] if isinstance(value, str) else value
            inputs.setdefault(name, set()).update(same.get(digest, digest) for digest in found)
    return inputs
