"""Why the two sides of an artefact differ: settings, inputs, code, or none of these."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from wsss.artefacts.formats import digest, form_of, open_tensors, read_label_index
from wsss.diff.findings import Change
from wsss.diff.pairing import SHARD, Parts, Unit, within
from wsss.diff.values import changes

# What a job writes into its log about itself, see rules/run_stage.py.
MADE_WITH = re.compile(r"made with (.*)$")
LOG_LINES = 200  # in which it stands


class Header(NamedTuple):
    """What an artefact says of its making: its settings, and the digests of its inputs by their names."""

    params: Mapping[str, Any]
    inputs: Mapping[str, frozenset[str]]


class Cause(NamedTuple):
    """What differs in how the two sides were made.

    Attributes:
        settings: Settings that differ.
        inputs: Names of the inputs whose contents differ.
        made: What the jobs' logs say of code and versions, if it differs.
        known: Whether both sides' logs say anything.
        recorded: Whether the artefact records its inputs.
    """

    settings: Sequence[Change] = ()
    inputs: Sequence[str] = ()
    made: Sequence[Change] = ()
    known: bool = False
    recorded: bool = False


class Equivalents:
    """Files of other bytes and the same content, so that what was made from them is known to be alike."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, unit: Unit) -> None:
        """Take the files of both sides as the same."""
        for path in (*unit.a.values(), *unit.b.values()):
            self._names[digest(path)] = unit.place

    def name(self, digests: Iterable[str]) -> frozenset[str]:
        """The digests, with one name for all that are the same."""
        return frozenset(self._names.get(value, value) for value in digests)


def find_cause(unit: Unit, same: Equivalents) -> Cause:
    """Set the headers and the logs of a unit's two sides beside each other."""
    one, other = _header(unit.a), _header(unit.b)
    inputs = [
        name
        for name in sorted(one.inputs.keys() | other.inputs.keys())
        if same.name(one.inputs.get(name, ())) != same.name(other.inputs.get(name, ()))
    ]
    return Cause(
        settings=changes(one.params, other.params),
        inputs=inputs,
        made=other_making(unit),
        known=all(made_with(unit, parts) for parts in (unit.a, unit.b)),
        recorded=bool(one.inputs and other.inputs),
    )


def other_making(unit: Unit) -> list[Change]:
    """Code and versions that differ, where the logs of both sides tell them."""
    a, b = made_with(unit, unit.a), made_with(unit, unit.b)
    return changes(a, b) if a and b else []


def _header(parts: Parts) -> Header:
    """The settings of the first part, which are those of all, and the inputs of every part."""
    params: Mapping[str, Any] = {}
    inputs: dict[str, set[str]] = {}
    for path in parts.values():
        part, files = _read_header(path)
        params = params or part
        for name, value in files.items():
            inputs.setdefault(name, set()).update([value] if isinstance(value, str) else value)
    return Header(params, {name: frozenset(digests) for name, digests in inputs.items()})


def _read_header(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if path.suffix == ".safetensors":
        with open_tensors(path, form_of(path)) as shard:
            return shard.params, shard.inputs
    if path.suffix == ".jsonl" and form_of(path) == "labels":
        index = read_label_index(path)
        return index.params, index.inputs
    return {}, {}


def made_with(unit: Unit, parts: Parts) -> dict[str, str]:
    """What the log of an artefact's first part says of the code and the versions that made it.

    Logs lie beside the data set's folder; empty where there is none, as for results copied without them.
    """
    for log in _logs(unit, *next(iter(parts.items()))):
        if log.is_file():
            return _made_with(log)
    return {}


def _logs(unit: Unit, name: str, path: Path) -> Iterator[Path]:
    """Where the log of the job that made a part, called so, may lie."""
    shard = path.stem if SHARD.fullmatch(path.stem) else ""
    depth = len(PurePosixPath(shard or name).parts)  # of the part in its output
    folder, inside = within([path, *path.parents][depth])
    if folder is None:
        return
    chain = "/".join((folder.name, *inside.parts[: -unit.known.up]))
    ends = (path.stem, path.stem.partition("_")[0])
    names = (f"{chain}/{shard}" if shard else chain, *(f"{chain}/{end}" for end in ends))
    yield from (folder.parent / "logs" / unit.rule / f"{name}.log" for name in names)


def _made_with(log: Path) -> dict[str, str]:
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in itertools.islice(file, LOG_LINES):
            if found := MADE_WITH.search(line):
                pairs = (part.rpartition(" ") for part in found[1].split(", "))
                return {name: value for name, _, value in pairs}
    return {}
