"""Figures: arrays and tables in, a matplotlib figure out; one style file, the label maps' own palette.

They are made without pyplot, so that nothing is shared between them, and saved without dates or versions, so
that the same content gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from wsss.artefacts.files import PathLike, atomic_file
from wsss.artefacts.formats import palette
from wsss.methods.metric_table import SHOWN
from wsss.methods.void import VOID
from wsss.report.figure_style import STYLE

Picture = NDArray[np.uint8]

HEAT_COLOURS = "inferno"
CURVES = {name: metric.title for name, metric in SHOWN.items()}
NO_DATES: dict[str, Mapping[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def save(figure: Figure, path: PathLike) -> None:
    """Write a figure in the form its file's ending names, ``.png`` or ``.svg``."""
    form = Path(path).suffix.lstrip(".")
    with atomic_file(path) as temporary, mpl.rc_context(STYLE):
        figure.savefig(temporary, format=form, metadata=dict(NO_DATES[form]))


def heat_overlay(image: Picture, heat: NDArray[np.float32]) -> Picture:
    """Lay a class map over its greyed image.

    Args:
        image: uint8 (H, W, 3).
        heat: Map within [0, 1], (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    colours = mpl.colormaps[HEAT_COLOURS](np.clip(heat, 0, 1))[..., :3] * 255
    share = 0.25 + 0.65 * np.clip(heat, 0, 1)[..., None]
    return _mix(_grey(image), colours, share)


def label_overlay(image: Picture, label: Picture) -> Picture:
    """Lay a label map in palette colours over its greyed and dimmed image; 255 (void) is drawn white.

    Args:
        image: uint8 (H, W, 3).
        label: uint8 (H, W), 0 background.

    Returns:
        uint8 (H, W, 3).
    """
    colours = palette()[label].astype(np.float64)
    colours[label == VOID] = 255
    share = np.where(label > 0, 0.75, 0.0)[..., None]
    return _mix(_grey(image) * 0.6, colours, share)


def _grey(image: Picture) -> NDArray[np.float64]:
    return np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)


def _mix(
    under: NDArray[np.float64], over: NDArray[np.float64], share: NDArray[np.float64] | NDArray[np.float32]
) -> Picture:
    return np.rint(under * (1 - share) + over * share).astype(np.uint8)


def picture_grid(
    rows: Sequence[Sequence[Picture]],
    titles: Sequence[str],
    names: Sequence[str],
    legend: Mapping[str, int],
    height: float = 1.35,
) -> Figure:
    """Draw pictures side by side, one row per image.

    Args:
        rows: The pictures, uint8 (H, W, 3), of each row.
        titles: What each column shows.
        names: What each row is, written at its left.
        legend: Label of each class name to explain.
        height: Height of a row in inches.

    Returns:
        The figure.
    """
    with mpl.rc_context(STYLE):
        widths = [
            max(row[column].shape[1] / row[column].shape[0] for row in rows) for column in range(len(titles))
        ]
        size = (height * sum(widths) + 1.0, height * len(rows) + 0.7)
        figure = Figure(figsize=size, layout="constrained")
        cells = figure.subplots(len(rows), len(titles), squeeze=False, width_ratios=widths)
        for row, pictures in enumerate(rows):
            for column, picture in enumerate(pictures):
                _show(cells[row, column], picture, titles[column] if row == 0 else "")
            cells[row, 0].set_ylabel(names[row], rotation=0, ha="right", va="center", fontsize=8)
        colours = palette() / 255
        patches = [Patch(color=tuple(colours[label]), label=name) for name, label in legend.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=max(1, min(len(patches), 8)))
    return figure


def _show(cell: Axes, picture: Picture, title: str) -> None:
    cell.imshow(picture)
    cell.set_title(title)
    cell.set_xticks([])
    cell.set_yticks([])
    for spine in cell.spines.values():
        spine.set_visible(False)


def threshold_curve(
    table: pd.DataFrame, best: float | None, configured: float | None, title: str, chosen: str = "configured"
) -> Figure:
    """Draw mIoU, FP and FN against the background score.

    Args:
        table: One row per threshold: ``threshold`` and the columns of :data:`CURVES`, fractions of 1.
        best: Threshold of the highest mIoU, or None where nothing was scored.
        configured: Threshold of the configuration, or None where there is none.
        title: What was measured.
        chosen: What the threshold of the configuration is called.

    Returns:
        The figure.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        cell = figure.subplots()
        for column, name in CURVES.items():
            cell.plot(table["threshold"], 100 * table[column], label=name)
        for value, mark, dashes in ((best, "best", "-"), (configured, chosen, "--")):
            if value is not None:
                cell.axvline(value, color="0.45", linestyle=dashes, linewidth=1, label=f"{mark} {value:.3g}")
        cell.set(xlabel="background score (threshold)", ylabel="%", title=title)
        cell.set_ylim(bottom=0)
        figure.legend(loc="outside right upper")
    return figure
