"""Why the two sides of an artefact differ: settings, inputs, code, or none of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from wsss.artefacts.identity import content_digest, read_header
from wsss.diff.findings import Change
from wsss.diff.pairing import Parts, Unit
from wsss.diff.values import changes


class Cause(NamedTuple):
    """What differs in how the two sides were made.

    Attributes:
        settings: Settings that differ.
        inputs: Names of the inputs whose contents differ.
        code: The digests of the code, if they differ.
        known: Whether both sides name the job that made them.
        recorded: Whether the artefact records its inputs.
    """

    settings: Sequence[Change] = ()
    inputs: Sequence[str] = ()
    code: Sequence[Change] = ()
    known: bool = False
    recorded: bool = False


class Equivalents:
    """Files of other bytes and the same content, so that what was made from them is known to be alike."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, unit: Unit) -> None:
        """Take the files of both sides as the same."""
        for path in (*unit.a.values(), *unit.b.values()):
            self._names[content_digest(path)] = unit.place

    def name(self, digests: Iterable[str]) -> frozenset[str]:
        """The digests, with one name for all that are the same."""
        return frozenset(self._names.get(value, value) for value in digests)


def find_cause(unit: Unit, same: Equivalents) -> Cause:
    """Set the headers of a unit's two sides beside each other."""
    one, other = _inputs(unit.a), _inputs(unit.b)
    names = sorted(one.keys() | other.keys())
    inputs = [name for name in names if same.name(one.get(name, ())) != same.name(other.get(name, ()))]
    a, b = unit.jobs
    if a is None or b is None:
        return Cause(inputs=inputs, recorded=bool(one and other))
    code = changes({"code": a.code}, {"code": b.code})
    return Cause(changes(a.settings, b.settings), inputs, code, True, bool(one and other))


def _inputs(parts: Parts) -> Mapping[str, set[str]]:
    """The digests of the inputs of all parts, by name."""
    inputs: dict[str, set[str]] = {}
    for path in parts.values():
        for name, value in read_header(path).get("inputs", {}).items():
            inputs.setdefault(name, set()).update([value] if isinstance(value, str) else value)
    return inputs
