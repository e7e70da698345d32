"""The page's charts: tables in, plotly figures out, a figure for each choice the reader has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from plotly.utils import PlotlyJSONEncoder

from wsss.report.figure_style import COLOURS
from wsss.report.figures import CURVES
from wsss.report.statements import STAGE_NAMES, capital, left_out, measured, runs

MORE_COLOURS = ("#332288", "#882255", "#999933", "#44AA99", "#8B4513", "#666666")
LOOKS = (
    ("solid", "circle", ""),
    ("dash", "diamond", "/"),
    ("dot", "square", "x"),
    ("dashdot", "cross", "."),
    ("longdash", "triangle-up", "-"),
    ("longdashdot", "x", "|"),
)
COSTS = {
    "train_minutes": "training, minutes",
    "total_minutes": "training and making labels, minutes",
    "images_per_second": "prediction, images a second",
    "peak_memory_mb": "peak memory, MB",
    "parameters": "parameters of all networks",
}
STAGES_LAST_FIRST = ("segmentation", "pseudo", "seed")
SHOWN_BARS = 6
HATCHING = {"fillmode": "overlay", "fgcolor": "#ffffff", "fgopacity": 0.8, "size": 7, "solidity": 0.25}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


class Look(NamedTuple):
    """How a system is drawn everywhere: one colour a classifier and method, one look a refinement."""

    colour: str
    dash: str
    symbol: str
    pattern: str


class Selector(NamedTuple):
    """A choice of the reader: its label and its options' texts."""

    label: str
    options: Sequence[str]


@dataclass(frozen=True)
class Chart:
    """A chart: figures and notes by the joined texts of the chosen options."""

    id: str
    title: str
    selectors: Sequence[Selector]
    figures: Mapping[str, go.Figure]
    notes: Mapping[str, str]

    def json(self) -> str:
        """All of the chart's figures and notes, for a script element, which no name in it can end."""
        content = {
            key: {"figure": figure.to_plotly_json(), "note": self.notes[key]}
            for key, figure in self.figures.items()
        }
        text = json.dumps(content, cls=PlotlyJSONEncoder, sort_keys=True, allow_nan=False)
        return text.replace("<", "\\u003c")


def looks(table: pd.DataFrame) -> dict[str, Look]:
    """Each system's look, by its name; where the colours begin again, groups take the looks left over."""
    colours = (*COLOURS, *MORE_COLOURS)
    groups = table.groupby(["classifier", "method"], sort=False)
    colour = groups.ngroup() % len(colours)
    form = table.groupby(colour).cumcount() % len(LOOKS)
    chosen = zip(table["system"], colour, form, strict=True)
    return {system: Look(colours[place], *LOOKS[look]) for system, place, look in chosen}


def cost_chart(table: pd.DataFrame) -> Chart:
    """Score against cost, a point a system."""
    table = table.assign(total_minutes=table["train_minutes"] + table["label_minutes"].fillna(0))
    several = table["stages"] == "multiple"
    table.loc[several & table["label_minutes"].isna(), "total_minutes"] = None
    stages = [stage for stage in STAGES_LAST_FIRST if table[f"{stage}_miou"].notna().any()]
    figures, notes = {}, {}
    for stage, cost in product(stages, COSTS):
        key = f"{STAGE_NAMES[stage]}|{COSTS[cost]}"
        figures[key] = _scatter(table, cost, stage)
        notes[key] = _join(
            *measured(table, stage), f"{runs(table)}.", left_out(table, [cost, f"{stage}_miou"])
        )
    selectors = [
        Selector("Score", [STAGE_NAMES[stage] for stage in stages]),
        Selector("Cost", list(COSTS.values())),
    ]
    return Chart("cost", "Score against cost", selectors, figures, notes)


def _scatter(table: pd.DataFrame, cost: str, stage: str) -> go.Figure:
    score = f"{stage}_miou"
    figure = _figure(COSTS[cost], f"{STAGE_NAMES[stage]} mIoU, %")
    look = looks(table)
    for row in table[table[cost].notna() & table[score].notna()].to_dict("records"):
        style, deviation = look[row["system"]], row[f"{score}_deviation"]
        figure.add_scatter(
            x=[float(row[cost])],
            y=[100 * row[score]],
            error_y={"type": "data", "array": [_percent(deviation)], "visible": pd.notna(deviation)},
            name=row["system"],
            mode="markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 13},
            hovertemplate="%{x:.4g}, %{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(rangemode="tozero")
    return figure


def class_chart(table: pd.DataFrame, classes: Sequence[str]) -> Chart:
    """IoU of each class, a bar a system; the best systems are shown first, the others on request."""
    stages = [stage for stage in STAGES_LAST_FIRST if table[f"{stage}_miou"].notna().any()]
    figures, notes = {}, {}
    for stage in stages:
        figures[STAGE_NAMES[stage]] = _bars(table, stage, classes)
        hidden = (
            f"The {SHOWN_BARS} systems of the highest mean are shown; click a name in the legend for others."
        )
        many = table[f"{stage}_miou"].notna().sum() > SHOWN_BARS
        notes[STAGE_NAMES[stage]] = _join(
            *measured(table, stage),
            f"{runs(table)}.",
            left_out(table, [f"{stage}_miou"]),
            hidden if many else "",
        )
    selectors = [Selector("Score", [STAGE_NAMES[stage] for stage in stages])]
    return Chart("classes", "IoU of each class", selectors, figures, notes)


def _bars(table: pd.DataFrame, stage: str, classes: Sequence[str]) -> go.Figure:
    figure = _figure("", f"{STAGE_NAMES[stage]} IoU, %")
    look = looks(table)
    known = table[table[f"{stage}_miou"].notna()]
    best = set(known.nlargest(SHOWN_BARS, f"{stage}_miou")["system"])
    for row in known.to_dict("records"):
        style = look[row["system"]]
        figure.add_bar(
            x=list(classes),
            y=[_percent(row[f"{stage}_iou_{name}"]) for name in classes],
            name=row["system"],
            marker={"color": style.colour, "pattern": {"shape": style.pattern, **HATCHING}},
            visible=True if row["system"] in best else "legendonly",
            hovertemplate="%{x}: %{y:.1f} %<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(showgrid=False, type="category")
    return figure


def curve_chart(table: pd.DataFrame, curves: Mapping[str, pd.DataFrame]) -> Chart:
    """Scores of the class maps against the threshold, one line per system.

    Args:
        table: The comparison.
        curves: By system, one row per threshold with the columns of
            :data:`~wsss.report.figures.CURVES`, means over runs.
    """
    look = looks(table)
    figures, notes = {}, {}
    for column, name in CURVES.items():
        figure = _figure("background score (threshold)", f"{name} of the class maps, %")
        for system, curve in curves.items():
            figure.add_scatter(
                x=curve["threshold"].tolist(),
                y=[_percent(value) for value in curve[column]],
                name=system,
                mode="lines",
                line={"color": look[system].colour, "dash": look[system].dash, "width": 2},
                hovertemplate="threshold %{x:.2f}: %{y:.1f} %<extra>%{fullData.name}</extra>",
            )
        figures[name] = figure
        scope = measured(table, "seed", rule=False)
        sweep = f"every threshold of the sweep; {runs(table, deviation=False)}."
        notes[name] = _join(*scope, sweep, _cut_off(curves))
    return Chart("curves", "Threshold curves", [Selector("Score", list(CURVES.values()))], figures, notes)


def _cut_off(curves: Mapping[str, pd.DataFrame]) -> str:
    """Which systems score best at the sweep's last threshold, so perhaps better beyond it."""
    names = [system for system, curve in curves.items() if curve["miou"].iloc[-1] == curve["miou"].max()]
    return (
        f"Best mIoU at the sweep's end, a higher threshold may be better: {', '.join(names)}."
        if names
        else ""
    )


def sensitivity_chart(points: pd.DataFrame, scope: str) -> Chart:
    """Score of the class maps against co-neighbours, as a number and as a share, and diffusion steps.

    Of rivals that are not varied along an axis the points are shown alone.

    Args:
        points: One row per method and chain: ``chain``, ``neighbours`` (below 1 a share of all tokens),
            ``steps``, ``best``, ``best_deviation``, ``configured`` and ``configured_deviation``, fractions.
        scope: What was measured.
    """
    share = points["neighbours"] < 1
    axes = {
        "co-neighbours k": ("neighbours", "steps", "T", points[~share]),
        "co-neighbours k, share of all tokens": ("neighbours", "steps", "T", points[share]),
        "diffusion steps T": ("steps", "neighbours", "k", points),
    }
    axes = {title: axis for title, axis in axes.items() if len(axis[3])}
    rules = {"best threshold of the sweep": "best", "configured threshold": "configured"}
    figures, notes = {}, {}
    for (title, axis), (rule, column) in product(axes.items(), rules.items()):
        figures[f"{title}|{rule}"] = _sweep(title, axis, column)
        chosen = " (chosen on this very truth)" if column == "best" else ", a number or a rule's"
        notes[f"{title}|{rule}"] = _join(scope, f"Scores at the {rule}{chosen}.")
    selectors = [Selector("Against", list(axes)), Selector("Threshold", list(rules))]
    return Chart("sensitivity", "Sensitivity to k and T", selectors, figures, notes)


def _sweep(title: str, axis: tuple[str, str, str, pd.DataFrame], column: str) -> go.Figure:
    varied, held, symbol, points = axis
    figure = _figure(title, "mIoU of the class maps, %")
    groups: list[tuple[Any, pd.DataFrame]] = list(points.groupby(["chain", held], sort=True))
    swept = {chain for (chain, _), line in groups if line[varied].nunique() > 1}
    lines = [
        (chain, value, line.sort_values(varied))
        for (chain, value), line in groups
        if line[varied].nunique() > 1 or chain not in swept
    ]
    for index, (chain, value, line) in enumerate(lines):
        deviations = [_percent(number) for number in line[f"{column}_deviation"]]
        figure.add_scatter(
            x=line[varied].tolist(),
            y=[_percent(number) for number in line[column]],
            error_y={"type": "data", "array": deviations, "visible": any(deviations)},
            name=f"{chain}, {symbol} = {_held(value, symbol)}",
            mode="lines+markers",
            line={"color": COLOURS[index % len(COLOURS)], "dash": LOOKS[index // len(COLOURS) % 4][0]},
            hovertemplate=f"{title} %{{x}}: %{{y:.1f}} %<extra>%{{fullData.name}}</extra>",
        )
    return figure


def _held(value: float, symbol: str) -> str:
    return f"{value:g} N" if symbol == "k" and value < 1 else f"{value:g}"


def _figure(x: str, y: str) -> go.Figure:
    """An empty figure in the page's style; its size is the page's."""
    axis = {"gridcolor": "#e3e7ec", "linecolor": "#8a94a0", "zeroline": False, "automargin": True}
    return go.Figure(
        layout={
            "template": "none",
            "font": {"family": FONT, "size": 13, "color": "#1c2530"},
            "margin": {"l": 60, "r": 16, "t": 16, "b": 56},
            "height": 440,
            "xaxis": {**axis, "title": {"text": x}},
            "yaxis": {**axis, "title": {"text": y}, "rangemode": "tozero"},
            "legend": {"orientation": "v", "y": 0.94},
            "hoverlabel": {"font": {"family": FONT}},
            "showlegend": True,
            "bargap": 0.25,
        }
    )


def _percent(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else 100 * float(value)


def _join(*sentences: str) -> str:
    return " ".join(capital(text) for text in sentences if text)
