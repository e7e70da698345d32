"""Which job made an artefact: its rule, wildcards, settings and code, in the artefact's header.

The runner of the jobs says once, for the whole process, what it makes; every writer of a header repeats it. A
stage called from Python writes none, unless the caller says in whose place it works.

Digests of inputs leave it out: what other code made in the same way is the same input, so that the trainings
and shards that have begun on it go on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from wsss.artefacts import tensor_file
from wsss.artefacts.files import ArtefactError, Inputs, PathLike, Values

METADATA_KEY = "wsss"  # of the header in a safetensors file
MADE_BY = "made_by"  # of the identity in a header
CHUNK = 2**20  # bytes read at once
# The wildcards that tell a rule's results of one run apart, in the order of their paths.
CHAIN = (
    "classifier",
    "single",
    "method",
    "refiner",
    "labeller",
    "predictor",
    "segmenter",
    "split",
    "inference",
)


@dataclass(frozen=True)
class Identity:
    """A job.

    Attributes:
        rule: Name of its rule, which is its stage's.
        wildcards: Their values, by name.
        settings: The rule's other params; plain values.
        code: Digest of the stage's code, see :func:`wsss.workflow.fingerprint.fingerprint`.
    """

    rule: str
    wildcards: Mapping[str, str] = field(default_factory=dict)
    settings: Values = field(default_factory=dict)
    code: str | None = None

    @property
    def run(self) -> str | None:
        """The run's number as in its path; None of what belongs to no run."""
        return self.wildcards.get("run")

    @property
    def chain(self) -> str:
        """The variants and the way of inference, joined as in paths."""
        return "/".join(self.wildcards[name] for name in CHAIN if name in self.wildcards)


_making: list[Identity] = []


@contextmanager
def making(identity: Identity) -> Iterator[None]:
    """Let every artefact that is written in the block say that this job made it."""
    _making.append(identity)
    try:
        yield
    finally:
        _making.pop()


def made_by() -> dict[str, Any]:
    """The field of a header that names the job at work; no field where none was named."""
    return {MADE_BY: asdict(_making[-1])} if _making else {}


def read_header(path: PathLike) -> dict[str, Any]:
    """What a file says of itself, whatever its form; empty where it has no header that can be read."""
    try:
        with open(path, "rb") as file:
            header = HEADERS[Path(path).suffix][0](file)
    except (OSError, ValueError, LookupError, TypeError):  # what is damaged, its reader says
        return {}
    return header if isinstance(header, dict) else {}


def read_identity(path: PathLike) -> Identity | None:
    """The job that a file names; None for one without a header, or whose header names none."""
    named = read_header(path).get(MADE_BY)
    return Identity(**named) if named else None


def identity_of(path: PathLike) -> Identity:
    """The job that a file names.

    Raises:
        ArtefactError: If it names none.
    """
    if (identity := read_identity(path)) is None:
        raise ArtefactError(
            f"{path}: expected the rule and wildcards of the job that made it, found none; let its rule make "
            "it anew"
        )
    return identity


def digests(inputs: Inputs) -> dict[str, Any]:
    """:func:`content_digest` of each input by its name; a list of them where the input is a list of files."""
    return {
        name: content_digest(value)
        if isinstance(value, str | os.PathLike)
        else [content_digest(path) for path in value]
        for name, value in inputs.items()
    }


def content_digest(path: PathLike) -> str:
    """SHA-256, in hex, of the bytes that a file has, or would have if its header named no job."""
    with open(path, "rb") as file:
        sha = hashlib.sha256(_start(file, Path(path).suffix))
        for chunk in iter(lambda: file.read(CHUNK), b""):
            sha.update(chunk)
    return sha.hexdigest()


def _start(file: BinaryIO, suffix: str) -> bytes:
    """The bytes up to where the header ends, without the job; none where there is nothing to leave out."""
    try:
        read, write = HEADERS[suffix]
        header = read(file)
        end = file.tell()
        del header[MADE_BY]
        file.seek(0)
        start = write(file, header)
        file.seek(end)
    except (ValueError, LookupError, TypeError, AttributeError):
        file.seek(0)
        return b""
    return start


def dump(value: Any, indent: int | None = None) -> str:
    """Plain values as JSON, always the same text for the same values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)


def _read_tensors(file: BinaryIO) -> Any:
    return json.loads(tensor_file.read_header(file)["__metadata__"][METADATA_KEY])


def _write_tensors(file: BinaryIO, header: Any) -> bytes:
    whole = tensor_file.read_header(file)
    whole["__metadata__"][METADATA_KEY] = dump(header)
    return tensor_file.header_bytes(whole)


def _read_line(file: BinaryIO) -> Any:
    return json.loads(file.readline())


def _write_line(file: BinaryIO, header: Any) -> bytes:
    return f"{dump(header)}\n".encode()


def _read_whole(file: BinaryIO) -> Any:
    return json.loads(file.read())


def _write_whole(file: BinaryIO, header: Any) -> bytes:
    return f"{dump(header, indent=2)}\n".encode()


Read = Callable[[BinaryIO], Any]
Write = Callable[[BinaryIO, Any], bytes]
# By a file's ending: how its header is read, up to its end, and what its bytes are with another one.
HEADERS: Mapping[str, tuple[Read, Write]] = {
    ".safetensors": (_read_tensors, _write_tensors),
    ".jsonl": (_read_line, _write_line),
    ".json": (_read_whole, _write_whole),
}
