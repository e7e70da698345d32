"""Differences between manifests, metrics files, tables and any other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from wsss.artefacts.formats import ArtefactError, Manifest, Record, read_json, read_manifest, read_table
from wsss.artefacts.identity import MADE_BY
from wsss.diff.findings import Change, Difference, number, several, size
from wsss.diff.pairing import Parts

CHUNK = 1 << 20  # bytes
ELSEWHERE = ("image", "mask")  # fields of a record that say where files lie
TRUTH = "truth"  # in a metrics file: the folder of the masks
SHOWN = 3
# Columns that tell how long jobs took, which no two runs share.
MEASURED_COSTS = ("train_minutes", "label_minutes", "images_per_second", "peak_memory_mb")


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values of nested settings, each with its dotted name; a list of plain values is one."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from leaves(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            yield from leaves(item, f"{name}.{_label(item, place)}")
    else:
        yield name, value


def _label(item: Any, place: int) -> str:
    return str(item.get("class", place)) if isinstance(item, Mapping) else str(place)


def changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """The plain values that differ; one that a side lacks is None there."""
    one, other = dict(leaves(a)), dict(leaves(b))
    names = sorted(one.keys() | other.keys())
    return [
        Change(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    ]


def same_bytes(a: Path, b: Path) -> bool:
    """Whether two files are equal byte for byte; reads them only as far as they are."""
    if a.stat().st_size != b.stat().st_size:
        return False
    with a.open("rb") as one, b.open("rb") as other:
        pairs = zip(iter(lambda: one.read(CHUNK), b""), iter(lambda: other.read(CHUNK), b""), strict=False)
        return all(first == second for first, second in pairs)


# ------------------------------------------------------------------------------------------------- manifest


def compare_manifests(a: Parts, b: Parts) -> Difference:
    """Images that one side lacks or describes otherwise; where the files lie makes no difference."""
    one, other = read_manifest(a[""]), read_manifest(b[""])
    records = [{record.id: record for record in data.records} for data in (one, other)]
    shared = records[0].keys() & records[1].keys()
    differing = [name for name in shared if _meaning(records[0][name]) != _meaning(records[1][name])]
    alone = [len(part) - len(shared) for part in records]
    notes = [
        f"{several(count, 'image')} only in {side}" for count, side in zip(alone, "AB", strict=True) if count
    ]
    notes += [f"named {one.dataset!r} in A, {other.dataset!r} in B"] if one.dataset != other.dataset else []
    if not differing and not any(alone) and list(records[0]) != list(records[1]):
        notes.append("the images come in another order")
    text = f"another size, class or split of {several(len(differing), 'image')}" if differing else ""
    amounts = {"images": len(shared), "differing": len(differing), "only_a": alone[0], "only_b": alone[1]}
    return Difference(not differing and not notes, text, amounts, notes)


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
        raise ArtefactError(
            f"another data set: A is {a.dataset!r} with {_listed(a.classes)}, B is {b.dataset!r} with "
            f"{_listed(b.classes)}; compare runs on the same data"
        )
    if not {record.id for record in a.records} & {record.id for record in b.records}:
        raise ArtefactError(
            f"another data set: A is {a.dataset!r}, B is {b.dataset!r}, with the same classes and no image "
            "in common; compare runs on the same data"
        )


def _listed(classes: Sequence[str]) -> str:
    dots = ", ..." if len(classes) > SHOWN else ""
    return f"{len(classes)} classes ({', '.join(classes[:SHOWN])}{dots})"


# ----------------------------------------------------------------------------------------- results and tables


def compare_results(a: Parts, b: Parts) -> Difference:
    """Differences of one result's values; the folder of the truth is none."""
    one, other = ({**read_json(parts[""]), MADE_BY: None} for parts in (a, b))
    found = [change for change in changes(one, other) if change.name.rpartition(".")[2] != TRUTH]
    scores = {change.name: change for change in found}
    shown = [_score(scores["miou"])] if "miou" in scores else []
    shown += [_score(scores["miou.mean"])] if "miou.mean" in scores else []
    others = [change for change in found if not _is_number(change)]
    shown += [str(change) for change in others[: SHOWN - len(shown)]]
    text = "; ".join([f"{len(found)} values differ", *shown]) if found else ""
    return Difference(not found, text, {"values": [change._asdict() for change in found]})


def _score(change: Change) -> str:
    a, b = ("none" if value is None else f"{100 * value:.2f}" for value in (change.a, change.b))
    return f"mIoU {a} -> {b} %"


def _is_number(change: Change) -> bool:
    """Whether a value is a number, or the numbers of several runs."""
    values = [item for side in (change.a, change.b) for item in (side if isinstance(side, list) else [side])]
    return any(isinstance(value, int | float) for value in values)


def compare_tables(a: Parts, b: Parts) -> Difference:
    """The first row in which two tables part, and each column's largest difference; times are left out."""
    tables = read_table(a[""]), read_table(b[""])
    rows = max(map(len, tables))
    columns = [name for name in dict.fromkeys([*tables[0], *tables[1]]) if name not in MEASURED_COSTS]
    one, other = (table.reindex(index=range(rows), columns=columns) for table in tables)
    differs = (one != other) & ~(one.isna() & other.isna())
    parted = differs.any(axis=1).to_numpy()
    first = int(parted.argmax()) + 1 if parted.any() else None
    largest = {name: _furthest(one[name], other[name]) for name in columns if differs[name].any()}
    shown = ", ".join(f"{name} by {size(value)}" for name, value in list(largest.items())[:SHOWN])
    numbers = {name: number(value) for name, value in largest.items()}
    amounts = {"rows": rows, "first": first, "largest": numbers}
    return Difference(first is None, f"part in row {first} of {rows}: {shown}" if largest else "", amounts)


def _furthest(a: pd.Series, b: pd.Series) -> float:
    """Largest difference of a column; infinity where values are missing or are no numbers."""
    one, other = (pd.to_numeric(column, errors="coerce") for column in (a, b))
    if (one.isna() != other.isna()).any() or (one.isna() & (a.astype(str) != b.astype(str))).any():
        return float("inf")
    return float((one - other).abs().max())


# ------------------------------------------------------------------------------------------------ other files


def compare_files(a: Parts, b: Parts) -> Difference:
    """How many files of two folders, or whether two files, are not the same bytes."""
    shared = a.keys() & b.keys()
    differing = sorted(name for name in shared if not same_bytes(a[name], b[name]))
    notes = [
        f"{several(len(part) - len(shared), 'file')} only in {side}"
        for part, side in ((a, "A"), (b, "B"))
        if len(part) > len(shared)
    ]
    what = "other bytes" if set(a) == {""} else f"{len(differing)} of {len(shared)} files have other bytes"
    amounts = {"files": len(shared), "differing": len(differing)}
    return Difference(not differing and not notes, what if differing else "", amounts, notes)
