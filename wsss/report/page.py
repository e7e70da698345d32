"""One page that holds everything it needs: its style, its scripts, its charts and its pictures."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from plotly.offline import get_plotlyjs

from wsss.artefacts.files import PathLike, Values, atomic_file
from wsss.methods.metric_table import SHOWN, column_name
from wsss.report.charts import Chart, looks
from wsss.report.statements import COSTS, MISSING, STAGE_NAMES, measured, runs

RESOURCES = ("page.html", "page.css", "page.js")
SUPERVISIONS = "; "  # between the parts of a chain
MEASURED = tuple(f"{stage}_{score}" for stage in STAGE_NAMES for score in map(column_name, SHOWN))


class Column(NamedTuple):
    """A column of the page's table: its title and, where higher or lower is better, which."""

    title: str
    key: str
    best: str | None = None  # "high" or "low"


class Cell(NamedTuple):
    """A cell: what is read, and what it is sorted by, None where nothing was measured."""

    text: str
    value: float | str | None
    detail: str = ""
    best: bool = False


class Tile(NamedTuple):
    """What one system made of one image."""

    system: str
    layers: Sequence[tuple[str, str]]  # what it is, and a data URI


class Card(NamedTuple):
    """One image of the grid."""

    id: str
    split: str
    classes: Sequence[int]  # 0-based
    names: Sequence[str]
    width: int
    height: int
    photo: str
    truth: str | None
    tiles: Sequence[Tile]
    disagreement: float | None  # share of pixels
    compared: str  # what disagrees


def columns(table: pd.DataFrame) -> list[tuple[str, list[Column]]]:
    """The table's groups of columns; published figures stand where there are any."""
    groups = []
    for stage, heading in STAGE_NAMES.items():
        group = [
            Column(metric.title, f"{stage}_{column_name(name)}", metric.better)
            for name, metric in SHOWN.items()
        ]
        if stage == "seed":
            group.insert(1, Column("mIoU, configured threshold", "seed_configured_miou", "high"))
        if table[f"published_{stage}_miou"].notna().any():
            group.append(Column("published mIoU", f"published_{stage}_miou"))
        if stage == "segmentation" and table["segmentation_share"].notna().any():
            group.append(Column("of the upper bound", "segmentation_share"))
        groups.append((f"{heading}, %", group))
    costs = [
        Column("parameters, M", "parameters", "low"),
        Column("training, min", "train_minutes", "low"),
        Column("maps and labels, min", "label_minutes", "low"),
        *_ratios(table),
        Column("images a second", "images_per_second", "high"),
        Column("peak memory, MB", "peak_memory_mb", "low"),
    ]
    labels = [Column("initial weights saw", "supervision"), Column("pixel labels", "pixel_labels")]
    if table["training_supervision"].notna().any():
        labels.insert(1, Column("trained on pixel labels", "training_supervision"))
    return [*groups, ("Cost", costs), ("Supervision", labels)]


def _ratios(table: pd.DataFrame) -> list[Column]:
    """Times in those of CAM, where it is compared and more than itself is measured."""
    found = {"train_in_cam": "training for maps, in CAM's", "maps_in_cam": "maps, in CAM's"}
    return [Column(title, key, "low") for key, title in found.items() if table[key].notna().sum() > 1]


def cells(table: pd.DataFrame, column: Column) -> list[Cell]:
    """One column's cells, one row per system."""
    best = None
    if column.best and table[column.key].notna().sum() > 1:
        best = table[column.key].max() if column.best == "high" else table[column.key].min()
    rows = [{key: None if pd.isna(value) else value for key, value in row.items()} for row in _rows(table)]
    made = [_cell(row, column.key) for row in rows]
    return [
        cell._replace(best=best is not None and row[column.key] == best)
        for cell, row in zip(made, rows, strict=True)
    ]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _cell(row: Values, key: str) -> Cell:
    value = row[key]
    if key == "supervision":
        return _supervision(value)
    if key == "training_supervision":
        return Cell("no", None) if value is None else Cell(value, value)
    if key == "pixel_labels":
        return Cell(MISSING, None) if value is None else Cell("yes" if value else "no", str(bool(value)))
    if value is None:
        unneeded = key in ("label_minutes", "maps_in_cam") and row["stages"] != "multiple"
        return (
            Cell("none needed", None) if unneeded else Cell("none" if "published" in key else MISSING, None)
        )
    return Cell(_text(key, float(value)), float(value), _detail(row, key))


def _text(key: str, value: float) -> str:
    if key == "parameters":
        return f"{value / 1e6:.2f}"
    if key in ("train_minutes", "label_minutes", "train_in_cam", "maps_in_cam", "images_per_second"):
        return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"
    return f"{value:.0f}" if key == "peak_memory_mb" else f"{100 * value:.1f}"


def _detail(row: Values, key: str) -> str:
    """What stands small beside a number: its deviation, its threshold, or another number of its kind."""
    if key in MEASURED:
        deviation = row[f"{key}_deviation"]
        parts = [] if deviation is None else [f"± {100 * deviation:.1f}"]
        parts += [f"at {row['seed_threshold']:.2f}"] if key == "seed_miou" else []
        return " ".join(parts)
    if key == "seed_configured_miou":
        return _configured(row)
    if key == "parameters" and row["parameters_predicting"] is not None:
        return f"({row['parameters_predicting'] / 1e6:.2f})"
    if key.startswith("published_"):
        shares = [row[key.replace("miou", name)] for name in ("fp", "fn")]
        known = [
            f"{name} {100 * share:.1f}" for name, share in zip(("FP", "FN"), shares, strict=True) if share
        ]
        return " ".join(known)
    return ""


def _configured(row: Values) -> str:
    """The configured threshold, or what its rule found: a mean where each image has its own."""
    value, rule = row["seed_configured_threshold"], row["seed_configured_rule"]
    own = row["seed_configured_threshold_deviation"] is not None
    found = [] if value is None else [f"{'mean' if own else 'at'} {value:.2f}"]
    return " ".join([*found, *([f"by {rule}"] if rule else [])])


def _supervision(text: str | None) -> Cell:
    """What the initial weights had seen; parts of the chain that saw the same are named together."""
    if text is None:
        return Cell(MISSING, None)
    roles: dict[str, list[str]] = {}
    for part in text.split(SUPERVISIONS):
        role, _, labels = part.partition(": ")
        roles.setdefault(labels, []).append(role)
    shown = "; ".join(f"{labels} ({', '.join(names)})" for labels, names in roles.items())
    if len(roles) == 1:
        shown = next(iter(roles))
    return Cell(shown, shown)


def write_page(
    path: PathLike,
    dataset: str,
    table: pd.DataFrame,
    charts: Sequence[Chart],
    cards: Sequence[Card],
    classes: Mapping[int, tuple[str, str]],
    others: Sequence[Values],
) -> None:
    """Write the page.

    Args:
        path: Where to write it, HTML.
        dataset: The data set's name.
        table: The comparison, one row per system.
        charts: Its charts.
        cards: Its images.
        classes: Name and colour of each 0-based class that an image shows.
        others: Published scores of other work on this kind of data set.
    """
    folder = Path(__file__).parent
    template, style, script = ((folder / name).read_text(encoding="utf-8") for name in RESOURCES)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    groups = columns(table)
    text = environment.from_string(template).render(
        dataset=dataset,
        systems=[(system, look.colour) for system, look in looks(table).items()],
        groups=groups,
        body=_body(table, groups),
        statements={name: measured(table, stage) for stage, name in STAGE_NAMES.items()},
        runs=runs(table),
        costs=COSTS,
        published=_published(table),
        charts=charts,
        cards=cards,
        classes=classes,
        others=others,
        style=style,
        script=script,
        plotly=_packed(get_plotlyjs()),
    )
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _packed(script: str) -> str:
    """A script as text that the page unpacks: compressed, in base 64."""
    return base64.b64encode(zlib.compress(script.encode(), 9)).decode()


def _published(table: pd.DataFrame) -> list[str]:
    """Which published system each of ours is set beside, and where it was published."""
    known = table[table["published_as"].notna()]
    return [f"{row['system']}: {row['published_as']} ({row['published_in']})" for row in _rows(known)]


def _body(table: pd.DataFrame, groups: Sequence[tuple[str, Sequence[Column]]]) -> list[list[Cell]]:
    """The table's cells, a list a system."""
    made = [cells(table, column) for _, group in groups for column in group]
    return [list(row) for row in zip(*made, strict=True)]
