"""Tables of image labels, in any of their three forms, and folders of images that are named as classes.

- ``id,class,class,...``: one row per image, as many class names as it shows, none if it shows nothing. The
  header (``id,class,...``) is optional unless there is a column ``split``.
- ``id,<class names>`` with a 0 or 1 a class; the header names the classes.
- a ``.txt`` file: the first form with blanks instead of commas.

A spreadsheet's semicolons between the columns are read too, and capitals in ``id`` and ``split``.

Where the class list is known, a number that is no class name stands for the class with that 0-based position.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from wsss.data.label_names import is_nothing, look_alikes, parted, singles, unparted
from wsss.data.records import SPLITS, Finding, Remark, duplicates

IMAGE_COLUMNS = {"image", "images", "file", "filename", "file_name", "path", "name", "img", "image_id"}
NAME_COLUMNS = {"class", "classes", "label", "labels", ""}


DELIMITERS = (",", ";", "\t")


class Row(NamedTuple):
    """Labels of one image: class indices, and its split where the table has that column."""

    classes: tuple[int, ...]
    split: str | None


@dataclass(frozen=True)
class LabelTable:
    """A read table: class names, rows by image id, and what is wrong with it."""

    classes: tuple[str, ...]
    rows: dict[str, Row]
    findings: tuple[Finding, ...]
    remarks: tuple[Remark, ...] = ()


class _Line(NamedTuple):
    number: int
    id: str
    split: str | None
    names: list[str]


def read_label_table(path: Path, classes: Sequence[str] | None = None) -> LabelTable:
    """Read a table of image labels.

    Args:
        path: A CSV file, or a ``.txt`` file with blanks between the columns; UTF-8.
        classes: Foreground class names; by default the header's, or the sorted names that occur.

    Returns:
        The table; of an id that occurs twice the first row stays.
    """
    try:
        cells = _read_cells(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return LabelTable(tuple(classes or ()), {}, (Finding("bad table", f"{path}: {error}"),))
    return _table(path, *_parse(path, cells), classes)


def table_of_folders(folder: Path, names: Sequence[str], classes: Sequence[str] | None = None) -> LabelTable:
    """The same of images that lie in one folder a class, ``dog/1.jpg`` or ``val/dog/1.jpg``.

    Args:
        folder: Folder of the images.
        names: Their paths below it.
        classes: Foreground class names; by default the sorted names of the folders.

    Returns:
        A row an image. Folders ``train``, ``val`` and ``test`` are splits where nothing lies beside them.
    """
    above = {name: PurePosixPath(name).parent.parts for name in sorted(names)}
    splits = all(parts[:1] and parts[0].lower() in SPLITS for parts in above.values())
    lines = [
        _Line(number, name, parts[0].lower() if splits else None, [*parts[splits : splits + 1]])
        for number, (name, parts) in enumerate(above.items(), start=1)
    ]
    loose = [line.id for line in lines if not line.names]
    text = "expected each image in a folder that is named as its class, or a table `labels`; found"
    findings = [Finding("bad table", f"{folder}: {text} {loose[0]!r} in none")] if loose else []
    return _table(folder, [], lines, findings, classes)


def _table(
    path: Path,
    header: Sequence[str],
    lines: list[_Line],
    findings: list[Finding],
    classes: Sequence[str] | None,
) -> LabelTable:
    """A table of parsed lines: its classes, its rows by number, and what is wrong with their names."""
    lines, remarks = _named(path, lines, classes, header)
    header = [name for name in header if not is_nothing(name, classes)]
    findings += [] if header else _check_names(path, lines, classes)
    names = tuple(classes or header or sorted({name for line in lines for name in line.names}))
    findings += [
        Finding("class names", f"{path}: {one!r} and {other!r} differ only in how they are written")
        for one, other in look_alikes(names)
    ]
    rows: dict[str, Row] = {}
    for line in lines:
        indices, unknown = _indices(line.names, names)
        findings += [
            Finding("unknown class", f"{path}, line {line.number}: {name!r} of {line.id!r}")
            for name in unknown
        ]
        rows.setdefault(line.id, Row(indices, line.split))
    findings += duplicates([line.id for line in lines], str(path))
    return LabelTable(names, rows, tuple(findings), remarks)


def _named(
    path: Path, lines: list[_Line], classes: Sequence[str] | None, header: Sequence[str]
) -> tuple[list[_Line], tuple[Remark, ...]]:
    """The lines with the classes that their cells name, without names for nothing, of which it tells."""
    kept = [
        line._replace(names=[name for name in line.names if not is_nothing(name, classes)]) for line in lines
    ]
    dropped = sum(len(line.names) for line in lines) - sum(len(line.names) for line in kept)
    found = f"{dropped} cells of {path} such as 'background' or 'none' name no class"
    known = set(classes or header or singles(name for line in kept for name in line.names))
    named = [
        line._replace(names=[part for name in line.names for part in parted(name, known)]) for line in kept
    ]
    return named, (Remark(found, "their images show nothing beside their other classes"),) * (dropped > 0)


def _check_names(path: Path, lines: Sequence[_Line], classes: Sequence[str] | None) -> list[Finding]:
    """Findings of rows of another form than the table's, of which its classes would be nonsense."""
    names = [name for line in lines for name in line.names]
    if {*names} == {"0", "1"} and any(len({*line.names}) < len(line.names) for line in lines):
        text = "rows of 0 and 1 without a first row that names the classes; add `id,<class names>`"
        return [Finding("bad table", f"{path}: found {text}")]
    beyond = str(len(classes or ()))
    positions = {str(number) for number in range(1, len(classes or ()) + 1)} - {*(classes or ())}
    if beyond in names and {*names} <= positions:
        text = f"numbers count the class list from 0, found 1 to {beyond}"
        return [Finding("class names", f"{path}: {text}; write names, or count from 0")]
    several = [] if classes else unparted(names)
    text = "seems to name several classes: write one class per cell"
    return [Finding("class names", f"{path}: {name!r} {text}") for name in several]


def _read_cells(path: Path) -> list[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = file.readlines()
    if path.suffix.lower() == ".txt":
        numbered = [(number, line.split()) for number, line in enumerate(lines, start=1)]
    else:
        if lines and (said := re.fullmatch(r"sep=(.)\s*", lines[0])):  # spreadsheets' own way to say it
            lines[0] = "\n"
        reader = csv.reader(lines, delimiter=said[1] if lines and said else _delimiter(lines))
        numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    return [(number, row) for number, row in numbered if any(row)]


def _delimiter(lines: Sequence[str]) -> str:
    """Comma, or what alone cuts the first row that is cut: semicolon, as many spreadsheets write, or tab."""
    rows = zip(*(csv.reader(lines, delimiter=delimiter) for delimiter in DELIMITERS), strict=False)
    cells = next(([len(row) for row in read] for read in rows if max(map(len, read)) > 1), [2])
    return DELIMITERS[0] if cells[0] > 1 else DELIMITERS[cells.index(max(cells))]


def _parse(path: Path, cells: list[tuple[int, list[str]]]) -> tuple[list[str], list[_Line], list[Finding]]:
    """Class names of a 0/1 header (or none), the lines with their class names, and findings."""
    number, first = cells[0] if cells else (0, [""])
    columns = [name.lower() for name in first]
    if fault := _header_fault(columns):
        return [], [], [Finding("bad table", f"{path}, line {number}: {fault}")]
    if columns[0] != "id":
        return [], [_Line(number, row[0], None, _filled(row[1:])) for number, row in cells], []
    at = columns.index("split") - 1 if "split" in columns else None
    header = _without(first[1:], at)
    lines = [
        _Line(number, row[0], _split_cell(row[1:], at), _without(row[1:], at)) for number, row in cells[1:]
    ]
    findings = [
        Finding(
            "bad row",
            f"{path}, line {line.number}: expected the split {', '.join(SPLITS)}, found {line.split!r}",
        )
        for line in lines
        if line.split not in (None, *SPLITS)
    ]
    if {name.lower() for name in header} <= NAME_COLUMNS:
        return [], [line._replace(names=_filled(line.names)) for line in lines], findings
    return _parse_flags(path, header, lines, findings)


def _header_fault(columns: Sequence[str]) -> str | None:
    """What keeps a first row, in small letters, from being read if it is a header; None if nothing does."""
    if columns[0] == "id" and columns.count("split") > 1:
        return "expected one column 'split', found several"
    if columns[0] in IMAGE_COLUMNS and set(columns[1:]) <= {"split", *NAME_COLUMNS} and any(columns[1:]):
        return f"expected the first column to be called 'id', found {columns[0]!r}"
    if "id" in columns[1:] and set(columns) <= {"id", "split", *NAME_COLUMNS}:
        return f"expected the column 'id' first, found it as column {columns.index('id') + 1}"
    return None


def _parse_flags(
    path: Path, header: list[str], lines: list[_Line], findings: list[Finding]
) -> tuple[list[str], list[_Line], list[Finding]]:
    """Turn rows of 0 and 1 into rows of names."""
    if len(set(header)) != len(header) or "" in header:
        findings.append(Finding("bad table", f"{path}: class names of the header are empty or occur twice"))
    parsed = []
    for line in lines:
        if len(line.names) != len(header) or not set(line.names) <= {"0", "1"}:
            wrong = sorted(set(line.names) - {"0", "1"})
            found = f"found {wrong[0]!r}" if wrong else f"found {len(line.names)} cells"
            findings.append(
                Finding(
                    "bad row", f"{path}, line {line.number}: expected {len(header)} cells of 0 or 1, {found}"
                )
            )
        names = [name for name, flag in zip(header, line.names, strict=False) if flag == "1"]
        parsed.append(line._replace(names=names))
    return header, parsed, findings


def _filled(cells: list[str]) -> list[str]:
    return [cell for cell in cells if cell]


def _split_cell(cells: list[str], at: int | None) -> str | None:
    # An empty cell means the default, as does a row that ends before the column.
    return (cells[at].lower() or None) if at is not None and at < len(cells) else None


def _without(cells: list[str], at: int | None) -> list[str]:
    return [cell for column, cell in enumerate(cells) if column != at]


def _indices(names: Sequence[str], classes: Sequence[str]) -> tuple[tuple[int, ...], list[str]]:
    """Sorted class indices of one image, and the names that are no class."""
    positions = {name: index for index, name in enumerate(classes)}
    numbers = {str(index): index for index in range(len(classes))}
    known = {**numbers, **positions}
    return (
        tuple(sorted({known[name] for name in names if name in known})),
        [name for name in names if name not in known],
    )
