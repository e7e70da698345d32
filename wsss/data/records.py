"""What a data set's reader hands to the checks: entries, and findings about what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wsss.artefacts.files import ArtefactError

SPLITS = ("train", "val", "test")


class DataError(ArtefactError):
    """A data set that is missing, incomplete or inconsistent; the message lists what and how to fix it."""


class Finding(NamedTuple):
    """One thing wrong with a data set: its kind (a key of ``checks.REMEDIES``) and what was found where."""

    kind: str
    detail: str


class Remark(NamedTuple):
    """What is no fault but worth a look: what was found, and what can be done."""

    found: str
    fix: str


@dataclass(frozen=True)
class Entry:
    """One image as the data set's lists describe it, before any file was opened."""

    id: str
    image: Path
    mask: Path | None
    classes: tuple[int, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A data set's foreground class names, its entries, what its lists show to be wrong, or worth a look."""

    classes: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = ()
    remarks: tuple[Remark, ...] = ()


def missing(folders: Iterable[Path], files: Iterable[Path], source: str) -> list[Finding]:
    """Findings for the folders and files that do not exist; ``source`` says how to get them."""
    return [
        *(Finding("missing folder", f"{path}: {source}") for path in folders if not path.is_dir()),
        *(Finding("missing file", f"{path}: {source}") for path in files if not path.is_file()),
    ]


def read_ids(path: Path) -> list[str]:
    """Ids of a list file, one a line; empty lines are skipped."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a UTF-8 text file with one id per line, found: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def duplicates(ids: Iterable[str], where: str) -> list[Finding]:
    """A finding for each id that occurs more than once."""
    twice = sorted(name for name, times in Counter(ids).items() if times > 1)
    return [Finding("duplicate id", f"{name!r} occurs more than once in {where}") for name in twice]
