"""Figures: what is drawn, and that the same content gives the same bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wsss.artefacts.formats import palette
from wsss.report import figures


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def curve() -> pd.DataFrame:
    thresholds = np.arange(6) / 10
    return pd.DataFrame(
        {"threshold": thresholds, "miou": 0.4 - (thresholds - 0.2) ** 2, "mean_fp": 0.5, "mean_fn": 0.1}
    )


def test_label_overlay_draws_classes_in_palette_colours_and_void_in_white(image: np.ndarray) -> None:
    image[:] = 0
    label = np.zeros((20, 30), np.uint8)
    label[:5], label[5:10] = 3, 255

    drawn = figures.label_overlay(image, label)

    np.testing.assert_array_equal(drawn[0, 0], np.rint(0.75 * palette()[3]))
    np.testing.assert_array_equal(drawn[6, 0], np.rint([0.75 * 255] * 3))
    np.testing.assert_array_equal(drawn[15, 0], [0, 0, 0])


def test_overlays_keep_size_and_type_and_leave_the_image_alone(image: np.ndarray) -> None:
    before = image.copy()
    heat = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    for drawn in (
        figures.heat_overlay(image, heat),
        figures.label_overlay(image, np.ones((20, 30), np.uint8)),
    ):
        assert drawn.shape == image.shape
        assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


def test_heat_overlay_is_brightest_where_the_map_is_highest(image: np.ndarray) -> None:
    image[:] = 60
    heat = np.zeros((20, 30), np.float32)
    heat[3, 4] = 1
    drawn = figures.heat_overlay(image, heat).astype(int).sum(axis=2)
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (3, 4)


def test_picture_grid_has_a_cell_a_picture_and_a_legend_entry_a_class(image: np.ndarray) -> None:
    tall = np.zeros((40, 20, 3), np.uint8)
    figure = figures.picture_grid(
        [[image, image], [tall, tall]], ["image", "truth"], ["cat", "dog"], {"cat": 1, "dog": 2}
    )

    assert [cell.get_title() for cell in figure.axes] == ["image", "truth", "", ""]
    assert [cell.get_ylabel() for cell in figure.axes] == ["cat", "", "dog", ""]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["cat", "dog"]


def test_threshold_curve_draws_three_lines_in_percent_and_marks_two_thresholds() -> None:
    (cell,) = figures.threshold_curve(curve(), 0.2, 0.3, "a sweep").axes
    lines = {str(line.get_label()): line for line in cell.lines}
    assert list(lines) == ["mIoU", "FP", "FN", "best 0.2", "configured 0.3"]
    assert np.max(lines["mIoU"].get_ydata()) == pytest.approx(40)
    assert np.asarray(lines["best 0.2"].get_xdata()).tolist() == [0.2, 0.2]


def test_a_threshold_by_a_rule_is_marked_by_its_name() -> None:
    (cell,) = figures.threshold_curve(curve(), 0.2, 0.31234, "a sweep", "otsu, mean").axes
    assert [str(line.get_label()) for line in cell.lines][3:] == ["best 0.2", "otsu, mean 0.312"]
    (cell,) = figures.threshold_curve(curve(), 0.2, None, "a sweep", "otsu, mean").axes
    assert [str(line.get_label()) for line in cell.lines][3:] == ["best 0.2"]


def test_threshold_curve_of_nothing_scored_has_no_best() -> None:
    table = curve().assign(miou=np.nan, mean_fp=np.nan, mean_fn=np.nan)
    (cell,) = figures.threshold_curve(table, None, 0.3, "nothing").axes
    assert [str(line.get_label()) for line in cell.lines][3:] == ["configured 0.3"]


@pytest.mark.parametrize("name", ["figure.svg", "figure.png"])
def test_same_figure_twice_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    paths = [tmp_path / "a" / name, tmp_path / "b" / name]
    for path in paths:
        figures.save(figures.threshold_curve(curve(), 0.2, 0.3, "a sweep"), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"Matplotlib" not in first
    assert [path.name for path in paths[0].parent.iterdir()] == [name]


def test_saved_picture_can_be_read(image: np.ndarray, tmp_path: Path) -> None:
    figures.save(figures.picture_grid([[image]], ["image"], ["cat"], {"cat": 1}), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as saved:
        assert min(saved.size) > 100
