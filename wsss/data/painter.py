"""Paints small scenes: animals with a marked head and a plain, bent body on textured ground.

The body has the same shapes, colours and patterns for all classes; only the marking on the head tells one
class from another. All drawing is on whole arrays; all chance comes from the generator passed in.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field: TypeAlias = NDArray[np.float64]
Point: TypeAlias = NDArray[np.float64]

# ----------------------------------------------------------------------------------------------- grounds


def _noise(size: tuple[int, int], cell: tuple[float, float], rng: np.random.Generator) -> Field:
    """Smooth noise in -1..1, (H, W), with bumps of about ``cell`` pixels."""
    coarse = [max(2, int(np.ceil(side / step)) + 1) for side, step in zip(size, cell, strict=True)]
    values = Image.fromarray(rng.uniform(-1, 1, coarse).astype(np.float32))
    return np.array(values.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float64)


def _grid(size: tuple[int, int]) -> Field:
    """Row and column of each pixel, (H, W, 2)."""
    grid: Field = np.moveaxis(np.indices(size, np.float64), 0, -1)
    return grid


def _tint(hue: float, saturation: float, value: Field) -> Field:
    """A colour of varying brightness, (H, W, 3)."""
    colour = np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, 1.0))
    return np.clip(value, 0, 1)[..., None] * colour


def _meadow(size: tuple[int, int], rng: np.random.Generator) -> Field:
    blades = _noise(size, (7, 1.6), rng)
    patches = _noise(size, (25, 25), rng)
    return _tint(rng.uniform(0.22, 0.34), 0.62, 0.5 + 0.18 * blades + 0.1 * patches)


def _water(size: tuple[int, int], rng: np.random.Generator) -> Field:
    rows = np.arange(size[0])[:, None] * rng.uniform(0.6, 0.9)
    waves = np.sin(rows + 2.5 * _noise(size, (12, 20), rng))
    return _tint(rng.uniform(0.52, 0.62), 0.55, 0.58 + 0.14 * waves)


def _sand(size: tuple[int, int], rng: np.random.Generator) -> Field:
    grains = rng.normal(0, 0.07, size)
    dunes = _noise(size, (14, 40), rng)
    return _tint(rng.uniform(0.09, 0.13), 0.38, 0.78 + grains + 0.1 * dunes)


def _stones(size: tuple[int, int], rng: np.random.Generator) -> Field:
    count = max(8, size[0] * size[1] // 160)
    centres = rng.uniform(0, 1, (count, 2)) * size
    distances = np.linalg.norm(_grid(size)[:, :, None] - centres, axis=-1)  # (H, W, count)
    nearest = np.argmin(distances, -1)
    first, second = np.moveaxis(np.partition(distances, 1, -1)[..., :2], -1, 0)
    shade = rng.uniform(0.4, 0.72, count)[nearest]
    return _tint(rng.uniform(0, 1), 0.08, shade * np.clip((second - first) / 2.5, 0.35, 1))


def _litter(size: tuple[int, int], rng: np.random.Generator) -> Field:
    leaves = np.digitize(_noise(size, (6, 6), rng) + 0.5 * _noise(size, (3, 3), rng), [-0.45, 0.0, 0.45])
    return _tint(rng.uniform(0.03, 0.08), 0.68, np.array([0.3, 0.45, 0.58, 0.7])[leaves])


GROUNDS: tuple[Callable[[tuple[int, int], np.random.Generator], Field], ...] = (
    _meadow,
    _water,
    _sand,
    _stones,
    _litter,
)

# ---------------------------------------------------------------------------------------------- markings

# Patterns of a head, functions of its own coordinates: u forward, v to the left, the head's rim at radius 1.
PATTERNS: tuple[Callable[[Field, Field], NDArray[np.bool_]], ...] = (
    lambda u, v: np.abs(u) < 0.32,
    lambda u, v: np.hypot(u, v) < 0.5,
    lambda u, v: np.minimum(np.abs(u), np.abs(v)) < 0.24,
    lambda u, v: u * v > 0,
    lambda u, v: np.hypot(u, np.abs(v) - 0.5) < 0.36,
    lambda u, v: np.abs(v) < 0.32,
    lambda u, v: np.hypot(u, v) > 0.62,
    lambda u, v: u > 0,
    lambda u, v: np.sin(7 * u) > 0,
    lambda u, v: np.sin(7 * v) > 0,
    lambda u, v: np.abs(u) + np.abs(v) < 0.62,
    lambda u, v: np.sin(6 * (u - np.abs(v))) > 0,
    lambda u, v: v > 0,
    lambda u, v: np.abs(np.hypot(u, v) - 0.5) < 0.2,
    lambda u, v: np.cos(3 * np.arctan2(v, u)) > 0.2,
)


class Marking(NamedTuple):
    """What tells a class: the pattern on its head and the hues of the pattern's two parts."""

    pattern: int
    hues: tuple[float, float]


# ----------------------------------------------------------------------------------------------- animals

COATS = 3  # plain, striped, spotted


class _Limb(NamedTuple):
    """A straight part of a body that tapers from one end to the other."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


class _Pose(NamedTuple):
    """Where the parts of an animal lie."""

    limbs: list[_Limb]
    head: Point
    heading: float
    head_radius: float


class Painted(NamedTuple):
    """A painted animal: where it and its head are, bool (H, W), and the size of a whole head in pixels."""

    body: NDArray[np.bool_]
    head: NDArray[np.bool_]
    head_area: float


def _step(angle: float, length: float) -> Point:
    return np.array([np.sin(angle), np.cos(angle)]) * length


def _pose(centre: Point, length: float, rng: np.random.Generator) -> _Pose:
    """Bend a spine of four joints about a centre, and set tail, four legs and a head on it."""
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.uniform(-0.5, 0.5, 5))
    steps = [
        _step(angle, length * share) for angle, share in zip(angles, (0.3, 0.2, 0.2, 0.12), strict=False)
    ]
    joints = np.cumsum([np.zeros(2), *steps], axis=0)
    joints += centre - joints[2]
    radius = length * rng.uniform(0.1, 0.14)
    radii = [radius * share for share in (0.2, 0.8, 1.1, 0.9, 0.6)]
    limbs = [_Limb(*joints[at : at + 2], *radii[at : at + 2]) for at in range(4)]
    for joint, angle in ((1, angles[1]), (3, angles[2])):
        limbs += _legs(joints[joint], angle, length, radius, rng)
    head_radius = length * rng.uniform(0.12, 0.15)
    return _Pose(limbs, joints[-1] + _step(angles[4], 0.7 * head_radius), angles[4], head_radius)


def _legs(hip: Point, angle: float, length: float, radius: float, rng: np.random.Generator) -> list[_Limb]:
    """A pair of legs, each with a knee."""
    limbs = []
    for side in (-1, 1):
        thigh = angle + side * (np.pi / 2 + rng.uniform(-0.5, 0.5))
        knee = hip + _step(thigh, length * 0.17)
        foot = knee + _step(thigh + rng.uniform(-0.9, 0.9), length * 0.13)
        limbs += [_Limb(hip, knee, radius * 0.5, radius * 0.4), _Limb(knee, foot, radius * 0.4, radius * 0.3)]
    return limbs


def _distance(grid: Field, limb: _Limb) -> Field:
    """Signed distance of each pixel, (H, W), from a limb's outline; negative inside."""
    along = limb.end - limb.start
    share = np.clip((grid - limb.start) @ along / max(float(along @ along), 1e-6), 0, 1)
    gap: Field = np.linalg.norm(grid - limb.start - share[..., None] * along, axis=-1)
    return gap - limb.start_radius - share * (limb.end_radius - limb.start_radius)


def _coat(grid: Field, coat: int | None, rng: np.random.Generator) -> Field:
    """A body's colours, (H, W, 3): plain, striped or spotted, in muted tones of any hue.

    A given ``coat`` has its own pattern and its own third of the hues.
    """
    hue, saturation, value = rng.uniform(0, 1), rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.85)
    if coat is not None:
        hue, saturation = (coat + 0.6 * hue) / COATS, saturation + 0.15
    size = grid.shape[:2]
    wave = np.sin(grid @ _step(rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.2)))
    patterns = (np.zeros(size), wave, _noise(size, (5, 5), rng) * 2)
    drawn = int(rng.integers(COATS))
    pattern = patterns[drawn if coat is None else coat]
    return _tint(hue, saturation, value * (1 - rng.uniform(0.15, 0.4) * np.clip(pattern, 0, 1)))


def _head_colours(grid: Field, pose: _Pose, marking: Marking, rng: np.random.Generator) -> Field:
    """The marking on a head, (H, W, 3); meaningless outside the head."""
    offset = (grid - pose.head) / pose.head_radius
    u, v = offset @ _step(pose.heading, 1.0), offset @ _step(pose.heading + np.pi / 2, 1.0)
    hues = [hue + rng.uniform(-0.03, 0.03) for hue in marking.hues]
    values = np.array([rng.uniform(0.8, 1.0), rng.uniform(0.45, 0.65)])
    parts = [_tint(hue, 0.8, np.full(u.shape, value)) for hue, value in zip(hues, values, strict=True)]
    marked = PATTERNS[marking.pattern](u, v)[..., None]
    return np.where(marked, parts[0], parts[1])


def _blend(picture: Field, colours: Field, distance: Field) -> None:
    """Lay colours over a picture, in place, with an edge of one pixel."""
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    picture += cover * (colours - picture)


def paint_ground(size: tuple[int, int], ground: int, rng: np.random.Generator) -> Field:
    """Paint a ground under light that changes over the picture.

    Args:
        size: Height and width in pixels.
        ground: Position in ``GROUNDS``.
        rng: Source of chance.

    Returns:
        Picture in 0..1, float64 (H, W, 3).
    """
    grid = _grid(size) / max(size) - 0.5
    light = 1 + grid @ _step(rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.35))
    return GROUNDS[ground](size, rng) * light[..., None]


def paint_animal(
    picture: Field,
    centre: Point,
    length: float,
    marking: Marking,
    rng: np.random.Generator,
    coat: int | None = None,
) -> Painted:
    """Paint an animal into a picture, in place.

    Args:
        picture: Picture in 0..1, float64 (H, W, 3).
        centre: Row and column of the body's middle.
        length: Length of the body in pixels.
        marking: What its class has on the head.
        rng: Source of chance.
        coat: Which of the ``COATS`` the body has; any by default.

    Returns:
        The pixels that it and its head cover.
    """
    grid = _grid((picture.shape[0], picture.shape[1]))
    pose = _pose(centre, length, rng)
    body = np.min([_distance(grid, limb) for limb in pose.limbs], axis=0)
    head = np.linalg.norm(grid - pose.head, axis=-1) - pose.head_radius
    whole = np.minimum(body, head)
    picture *= 1 - 0.35 * np.exp(-np.clip(whole, 0, None) / 2)[..., None]  # a shadow on the ground
    roundness = np.clip(0.72 - 0.4 * body / (0.12 * length), 0.72, 1.1)[..., None]
    _blend(picture, _coat(grid, coat, rng) * roundness, body)
    _blend(picture, _head_colours(grid, pose, marking, rng), head)
    return Painted(whole < 0, head < 0, np.pi * pose.head_radius**2)


def to_pixels(picture: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add a camera's noise and round a picture in 0..1 to uint8 (H, W, 3)."""
    noisy = picture + rng.normal(0, 0.02, picture.shape)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
