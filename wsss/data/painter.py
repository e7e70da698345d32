"""Paints the grounds of small scenes, and lays colours over them.

All drawing is on whole arrays of 32-bit numbers; all chance comes from the generator passed in.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field: TypeAlias = NDArray[np.float32]
Size: TypeAlias = tuple[int, int]


class Grid(NamedTuple):
    """Row of each pixel, (H, 1), and its column, (1, W)."""

    rows: Field
    columns: Field


def grid_of(size: Size) -> Grid:
    """The pixels' places in a picture of ``size``, height and width."""
    return Grid(np.arange(size[0], dtype=np.float32)[:, None], np.arange(size[1], dtype=np.float32)[None])


def step(angle: float, length: float) -> tuple[float, float]:
    """Rows and columns of a step of ``length`` pixels; an angle of 0 goes to the right."""
    return float(np.sin(angle)) * length, float(np.cos(angle)) * length


def along(grid: Grid, direction: tuple[float, float]) -> Field:
    """Scalar product of each pixel's place with a direction, (H, W)."""
    product: Field = grid.rows * np.float32(direction[0]) + grid.columns * np.float32(direction[1])
    return product


def noise(size: Size, cell: tuple[float, float], rng: np.random.Generator) -> Field:
    """Smooth noise in about -1..1, (H, W), with bumps of about ``cell`` pixels."""
    coarse = [max(2, int(np.ceil(side / step)) + 1) for side, step in zip(size, cell, strict=True)]
    values = Image.fromarray(2 * rng.random(coarse, np.float32) - 1)
    return np.array(values.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def colour(hue: float, saturation: float, value: float) -> Field:
    """Red, green and blue in 0..1, (3,)."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32)


def _tint(hue: float, saturation: float, value: Field) -> Field:
    """A colour of varying brightness, (H, W, 3)."""
    tinted: Field = np.clip(value, 0, 1)[..., None] * colour(hue, saturation, 1.0)
    return tinted


def _meadow(size: Size, rng: np.random.Generator) -> Field:
    blades = noise(size, (7, 1.6), rng)
    patches = noise(size, (25, 25), rng)
    return _tint(rng.uniform(0.22, 0.34), 0.62, 0.5 + 0.18 * blades + 0.1 * patches)


def _water(size: Size, rng: np.random.Generator) -> Field:
    rows: Field = grid_of(size).rows * np.float32(rng.uniform(0.6, 0.9))
    waves: Field = np.sin(rows + 2.5 * noise(size, (12, 20), rng))
    return _tint(rng.uniform(0.52, 0.62), 0.55, 0.58 + 0.14 * waves)


def _sand(size: Size, rng: np.random.Generator) -> Field:
    grains = 0.07 * rng.standard_normal(size, np.float32)
    dunes = noise(size, (14, 40), rng)
    return _tint(rng.uniform(0.09, 0.13), 0.38, 0.78 + grains + 0.1 * dunes)


def _stones(size: Size, rng: np.random.Generator) -> Field:
    grid, count = grid_of(size), max(8, size[0] * size[1] // 160)
    nearest, shade = np.full((2, *size), np.inf, np.float32), np.zeros(size, np.float32)
    for row, column, value in zip(*_scattered(size, count, rng), rng.uniform(0.4, 0.72, count), strict=True):
        distance = np.hypot(grid.rows - row, grid.columns - column)
        shade[distance < nearest[0]] = value
        nearest[1] = np.minimum(nearest[1], np.maximum(nearest[0], distance))
        nearest[0] = np.minimum(nearest[0], distance)
    return _tint(rng.uniform(0, 1), 0.08, shade * np.clip((nearest[1] - nearest[0]) / 2.5, 0.35, 1))


def _scattered(size: Size, count: int, rng: np.random.Generator) -> tuple[Field, Field]:
    """Rows and columns of so many places anywhere in a picture."""
    rows, columns = (rng.random(count, np.float32) * np.float32(side) for side in size)
    return rows, columns


def _litter(size: Size, rng: np.random.Generator) -> Field:
    leaves = np.digitize(noise(size, (6, 6), rng) + 0.5 * noise(size, (3, 3), rng), [-0.45, 0.0, 0.45])
    return _tint(rng.uniform(0.03, 0.08), 0.68, np.array([0.3, 0.45, 0.58, 0.7], np.float32)[leaves])


GROUNDS: tuple[Callable[[Size, np.random.Generator], Field], ...] = (
    _meadow,
    _water,
    _sand,
    _stones,
    _litter,
)


def paint_ground(size: Size, ground: int, rng: np.random.Generator) -> Field:
    """Paint a ground under light that changes over the picture.

    Args:
        size: Height and width in pixels.
        ground: Position in ``GROUNDS``.
        rng: Source of chance.

    Returns:
        Picture in 0..1, float32 (H, W, 3).
    """
    slope = along(grid_of(size), step(rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.35) / max(size)))
    lit: Field = GROUNDS[ground](size, rng) * (1 + slope - slope.mean())[..., None]
    return lit


def blend(picture: Field, colours: Field, distance: Field) -> None:
    """Lay colours (H, W, 3) over a picture, in place, where ``distance`` (H, W) is negative, softly."""
    picture += np.clip(0.5 - distance, 0, 1)[..., None] * (colours - picture)


def to_pixels(picture: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add a camera's noise and round a picture in 0..1 to uint8 (H, W, 3)."""
    noisy = picture + np.float32(0.02) * rng.standard_normal(picture.shape, np.float32)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
