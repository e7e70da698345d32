"""Differences between settings, manifests, metrics files, tables and any other files."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from wsss.artefacts.formats import (
    ArtefactError,
    Manifest,
    Record,
    Values,
    read_json,
    read_manifest,
    read_table,
)
from wsss.artefacts.identity import MADE_BY
from wsss.diff.findings import Change, Difference, paired, several, size
from wsss.diff.pairing import Parts

ELSEWHERE = ("image", "mask")  # fields of a record that say where files lie
UNCOMPARED = (MADE_BY, "truth")  # of a result: its job, which is compared as such, and the masks' folder
SHOWN = 3
# Columns that tell how long jobs took, which no two runs share.
MEASURED_COSTS = ("train_minutes", "label_minutes", "images_per_second", "peak_memory_mb")


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values of nested settings, each with its dotted name; a list of plain values is one."""
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        value = {str(place): item for place, item in enumerate(value)}
    if not isinstance(value, Mapping) or not value:
        yield name, value
        return
    for key, item in value.items():
        yield from leaves(item, f"{name}.{key}" if name else str(key))


def changes(a: Values, b: Values) -> list[Change]:
    """The plain values that differ; one that a side lacks is None there."""
    one, other = dict(leaves(a)), dict(leaves(b))
    names = sorted(one.keys() | other.keys())
    found = [Change(name, one.get(name), other.get(name)) for name in names]
    return [change for change in found if change.a != change.b]


def same_bytes(a: Path, b: Path) -> bool:
    """Whether two files are equal byte for byte; reads them only as far as they are."""
    return filecmp.cmp(a, b, shallow=False)


def compare_manifests(a: Parts, b: Parts) -> Difference:
    """Images that one side lacks or describes otherwise; where the files lie makes no difference."""
    one, other = read_manifest(a[""]), read_manifest(b[""])
    mine, theirs = ({record.id: _meaning(record) for record in data.records} for data in (one, other))
    both, notes = paired(mine, theirs, "image")
    differing = [image for image in both if mine[image] != theirs[image]]
    if one.dataset != other.dataset:
        notes.append(f"named {one.dataset!r} in A, {other.dataset!r} in B")
    if not differing and mine.keys() == theirs.keys() and list(mine) != list(theirs):
        notes.append("the images come in another order")
    text = f"another size, class or split of {several(len(differing), 'image')}" if differing else ""
    return Difference(text, {"images": len(both), "differing": len(differing)}, notes)


def _meaning(record: Record) -> dict[str, Any]:
    """What a record says of its image, without where the files lie."""
    fields = {key: value for key, value in asdict(record).items() if key not in ELSEWHERE}
    return {**fields, "has_mask": record.mask is not None}


def check_data(a: Manifest, b: Manifest) -> None:
    """Refuse two data sets of which nothing can be compared.

    Raises:
        ArtefactError: If their classes differ, or they have no image in common.
    """
    if a.classes != b.classes:
        found = f"A is {a.dataset!r} with {_listed(a.classes)}, B is {b.dataset!r} with {_listed(b.classes)}"
    elif not {record.id for record in a.records} & {record.id for record in b.records}:
        found = f"A is {a.dataset!r}, B is {b.dataset!r}, with the same classes and no image in common"
    else:
        return
    raise ArtefactError(f"another data set: {found}; compare runs on the same data")


def _listed(classes: Sequence[str]) -> str:
    dots = ", ..." if len(classes) > SHOWN else ""
    return f"{len(classes)} classes ({', '.join(classes[:SHOWN])}{dots})"


def compare_results(a: Parts, b: Parts) -> Difference:
    """Differences of one result's values; the folder of the truth is none."""
    one, other = (
        {key: value for key, value in read_json(parts[""]).items() if key not in UNCOMPARED}
        for parts in (a, b)
    )
    found = changes(one, other)
    mious = [change for change in found if change.name in ("miou", "miou.mean")]
    scores = [f"mIoU {_score(change.a)} -> {_score(change.b)} %" for change in mious]
    words = [str(change) for change in found if isinstance(change.a, str) or isinstance(change.b, str)]
    text = "; ".join([f"differs in {several(len(found), 'value')}", *scores, *words[:SHOWN]])
    return Difference(text if found else "", {"values": found})


def _score(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f}"


def compare_tables(a: Parts, b: Parts) -> Difference:
    """The first row in which two tables part, and each column's largest difference; times are left out."""
    tables = read_table(a[""]), read_table(b[""])
    rows = max(map(len, tables))
    columns = [name for name in dict.fromkeys([*tables[0], *tables[1]]) if name not in MEASURED_COSTS]
    one, other = (table.reindex(index=range(rows), columns=columns) for table in tables)
    found = one.compare(other)
    if found.empty:
        return Difference(amounts={"rows": rows})
    first = int(found.index[0]) + 1
    apart = {name: _furthest(pd.DataFrame(found[name])) for name in found.columns.unique(0)}
    shown = ", ".join(f"{name} by {size(value)}" for name, value in list(apart.items())[:SHOWN])
    return Difference(
        f"part in row {first} of {rows}: {shown}", {"rows": rows, "first": first, "largest": apart}
    )


def _furthest(column: pd.DataFrame) -> float:
    """Largest difference of two columns' cells; infinity where values are missing or are no numbers."""
    numbers = column.dropna(how="all").apply(pd.to_numeric, errors="coerce")
    return float((numbers["self"] - numbers["other"]).abs().fillna(float("inf")).max())


def compare_files(a: Parts, b: Parts) -> Difference:
    """How many files of two folders, or whether two files, are not the same bytes."""
    both, notes = paired(a, b, "file")
    differing = sum(not same_bytes(a[name], b[name]) for name in both)
    what = "other bytes" if set(a) == {""} else f"{differing} of {len(both)} files have other bytes"
    return Difference(what if differing else "", {"files": len(both), "differing": differing}, notes)
