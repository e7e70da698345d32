"""Animals of small scenes: bent bodies of several builds, in one coat from head to tail, with a marked head.

An animal hangs together by its looks: body, legs, tail and head wear one coat, whose colours, pattern, scale,
direction and light are drawn once an animal. So parts of one animal look more alike than two animals do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsss.data.painter import Field, Grid, Size, along, blend, colour, grid_of, noise, step

Point: TypeAlias = NDArray[np.float64] | tuple[float, float]  # row and column


class Build(NamedTuple):
    """Proportions of a body, in lengths of its spine.

    Attributes:
        radius: Of the trunk.
        tail: Length of the tail.
        tail_radius: Of the tail's end.
        neck: Length of the neck.
        legs: Pairs of legs.
        leg: Length of a leg.
        leg_radius: Of a leg.
        head: Radius of the head.
    """

    radius: float
    tail: float
    tail_radius: float
    neck: float
    legs: int
    leg: float
    leg_radius: float
    head: float


BUILDS = (
    Build(0.13, 0.26, 0.05, 0.08, 2, 0.28, 0.060, 0.14),  # even
    Build(0.22, 0.08, 0.06, 0.02, 2, 0.20, 0.070, 0.15),  # round, on short legs
    Build(0.12, 0.40, 0.09, 0.16, 0, 0.00, 0.000, 0.14),  # a snake
    Build(0.12, 0.12, 0.04, 0.06, 3, 0.26, 0.045, 0.13),  # six legs
    Build(0.11, 0.34, 0.15, 0.06, 2, 0.20, 0.055, 0.14),  # a bushy tail
    Build(0.11, 0.10, 0.05, 0.32, 2, 0.30, 0.055, 0.13),  # a long neck
    Build(0.14, 0.22, 0.05, 0.04, 1, 0.30, 0.140, 0.14),  # wings
    Build(0.10, 0.14, 0.04, 0.08, 2, 0.44, 0.050, 0.14),  # long legs
)
COATS = 6  # plain, striped, spotted, patched, checked, ringed

# Patterns of a mark, functions of the head's own coordinates: u forward, v to the left, its rim at radius 1.
PATTERNS: tuple[Callable[[Field, Field], NDArray[np.bool_]], ...] = (
    lambda u, v: np.abs(u) < 0.36,
    lambda u, v: np.hypot(u, v) < 0.56,
    lambda u, v: np.minimum(np.abs(u), np.abs(v)) < 0.26,
    lambda u, v: u * v > 0,
    lambda u, v: np.hypot(u, np.abs(v) - 0.5) < 0.42,
    lambda u, v: np.abs(v) < 0.36,
    lambda u, v: np.hypot(u, v) > 0.6,
    lambda u, v: u > 0,
    lambda u, v: np.sin(7 * u) > 0,
    lambda u, v: np.sin(7 * v) > 0,
    lambda u, v: np.abs(u) + np.abs(v) < 0.7,
    lambda u, v: np.sin(6 * (u - np.abs(v))) > 0,
    lambda u, v: v > 0,
    lambda u, v: np.abs(np.hypot(u, v) - 0.5) < 0.22,
    lambda u, v: np.cos(3 * np.arctan2(v, u)) > 0.1,
)


class Mark(NamedTuple):
    """What an animal wears on its head: a position in ``PATTERNS`` and a hue in 0..1."""

    pattern: int
    hue: float


class Kind(NamedTuple):
    """What an animal is like: positions in ``BUILDS`` and of the ``COATS``, and its mark."""

    build: int
    coat: int
    mark: Mark


class _Limb(NamedTuple):
    """A straight part of a body that tapers from one end to the other."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


class Animal(NamedTuple):
    """Where an animal lies in a picture.

    Attributes:
        body: Signed distance of each pixel from the outline of all but the head, negative inside, (H, W).
        head: The same of the head, (H, W).
        centre: Row and column of the middle of the head.
        heading: Angle in which it looks.
        radius: Of the head in pixels.
        length: Of the spine in pixels.
    """

    body: Field
    head: Field
    centre: tuple[float, float]
    heading: float
    radius: float
    length: float

    @property
    def outline(self) -> Field:
        """Signed distance from the whole animal's outline, (H, W)."""
        return np.minimum(self.body, self.head)

    @property
    def head_area(self) -> float:
        """Pixels of a whole head."""
        return np.pi * self.radius**2


def place_animal(
    size: Size, centre: tuple[float, float], length: float, build: int, rng: np.random.Generator
) -> Animal:
    """Bend a spine about a centre, and set tail, neck, legs and a head on it.

    Args:
        size: Height and width of the picture in pixels.
        centre: Row and column of the body's middle.
        length: Length of a body of average build in pixels.
        build: Position in ``BUILDS``.
        rng: Source of chance.
    """
    shape, spine = BUILDS[build], length * rng.uniform(0.9, 1.1)
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.uniform(-0.45, 0.45, 5))
    shares = (shape.tail, 0.22, 0.22, shape.neck)
    steps = [step(angle, spine * share) for angle, share in zip(angles, shares, strict=False)]
    joints = np.cumsum([(0.0, 0.0), *steps], axis=0)
    joints += np.array(centre) - joints[2]
    trunk, tail = shape.radius * spine, shape.tail_radius * spine
    radii = (tail, 0.85 * trunk, 1.05 * trunk, 0.9 * trunk, 0.7 * min(trunk, shape.head * spine))
    limbs = [_Limb(*joints[at : at + 2], *radii[at : at + 2]) for at in range(4)]
    for pair in range(shape.legs):
        share = 0.5 if shape.legs == 1 else pair / (shape.legs - 1)
        hip = joints[1] + share * (joints[3] - joints[1])
        limbs += _legs(hip, angles[1 + round(share)], shape.leg * spine, shape.leg_radius * spine, rng)
    radius = shape.head * spine
    head = np.add(joints[4], step(angles[4], 0.6 * radius))
    middle = (float(head[0]), float(head[1]))
    grid = grid_of(size)
    gap = np.hypot(grid.rows - np.float32(middle[0]), grid.columns - np.float32(middle[1]))
    return Animal(_distance(grid, limbs), gap - np.float32(radius), middle, angles[4], radius, length)


def _legs(
    hip: NDArray[np.float64], angle: float, length: float, radius: float, rng: np.random.Generator
) -> list[_Limb]:
    """A pair of legs, each with a knee."""
    limbs = []
    for side in (-1, 1):
        thigh = angle + side * (np.pi / 2 + rng.uniform(-0.4, 0.4))
        knee = np.add(hip, step(thigh, length * 0.6))
        foot = np.add(knee, step(thigh + rng.uniform(-0.7, 0.7), length * 0.4))
        limbs += [_Limb(hip, knee, 1.1 * radius, radius), _Limb(knee, foot, radius, 0.8 * radius)]
    return limbs


def _distance(grid: Grid, limbs: list[_Limb]) -> Field:
    """Signed distance of each pixel, (H, W), from the outline of all limbs; negative inside."""
    starts, ends, first, last = (np.array(values, np.float32) for values in zip(*limbs, strict=True))
    way = ends - starts  # (L, 2)
    rows = grid.rows - starts[:, :1, None]  # (L, H, 1)
    columns = grid.columns - starts[:, 1:, None]  # (L, 1, W)
    unit = way / np.maximum((way**2).sum(1, keepdims=True), 1e-6)
    share = np.clip(rows * unit[:, :1, None] + columns * unit[:, 1:, None], 0, 1)  # (L, H, W)
    gap = (rows - share * way[:, :1, None]) ** 2
    gap += (columns - share * way[:, 1:, None]) ** 2
    np.sqrt(gap, out=gap)
    gap -= first[:, None, None] + share * (last - first)[:, None, None]
    return gap.min(0)


def _pattern(grid: Grid, size: Size, coat: int, length: float, rng: np.random.Generator) -> Field:
    """A coat's pattern, (H, W): negative in one of its colours, positive in the other."""
    cell = length * rng.uniform(0.06, 0.1)
    if coat == 0:
        return np.full(size, -1, np.float32)
    if coat in (2, 3):
        wide = cell if coat == 2 else 2.4 * cell
        return 3 * noise(size, (wide, wide), rng) - (0.5 if coat == 2 else 0.0)
    if coat == 5:
        row, column = (rng.uniform(0, side) for side in size)
        ring: Field = 2 * np.sin(
            np.hypot(grid.rows - np.float32(row), grid.columns - np.float32(column)) * np.float32(2.6 / cell)
        )
        return ring
    angle = rng.uniform(0, np.pi)
    wave: Field = np.sin(along(grid, step(angle, 2.6 / cell)))
    return 2 * wave if coat == 1 else 3 * wave * np.sin(along(grid, step(angle + np.pi / 2, 2.6 / cell)))


def _coat(grid: Grid, size: Size, coat: int, length: float, rng: np.random.Generator) -> Field:
    """An animal's colours, (H, W, 3): two of one family, in a pattern, under light from one side."""
    hue, saturation, value = rng.uniform(0, 1), rng.uniform(0.15, 0.55), rng.uniform(0.4, 0.95)
    light = colour(hue, saturation, value)
    dark = colour(hue + rng.uniform(-0.06, 0.06), saturation, value * rng.uniform(0.4, 0.65))
    share = np.clip(0.5 + _pattern(grid, size, coat, length, rng), 0, 1)[..., None]
    slope = along(grid, step(rng.uniform(0, 2 * np.pi), 0.3 / max(size)))
    coloured: Field = (light + share * (dark - light)) * (1 + slope - slope.mean())[..., None]
    return coloured


def paint_animal(picture: Field, animal: Animal, kind: Kind, rng: np.random.Generator) -> None:
    """Paint an animal into a picture, in place.

    Args:
        picture: Picture in 0..1, float32 (H, W, 3).
        animal: Where it lies.
        kind: What it is like; its build is in ``animal``.
        rng: Source of chance.
    """
    size = (picture.shape[0], picture.shape[1])
    grid, outline = grid_of(size), animal.outline
    picture *= 1 - 0.35 * np.exp(-np.clip(outline, 0, None) / 2)[..., None]  # a shadow on the ground
    coat = _coat(grid, size, kind.coat, animal.length, rng)
    depth = np.float32(0.4 / (0.12 * animal.length))
    for part in (animal.body, animal.head):
        blend(picture, coat * np.clip(0.75 - depth * part, 0.75, 1.1)[..., None], part)
    marked = _marked(grid, animal, kind.mark)
    shade = colour(kind.mark.hue + rng.uniform(-0.03, 0.03), 0.85, rng.uniform(0.8, 1.0))
    picture[marked] += np.float32(0.9) * (shade - picture[marked])


def _marked(grid: Grid, animal: Animal, mark: Mark) -> NDArray[np.bool_]:
    """The pixels of the mark on an animal's head, (H, W)."""
    offset = Grid(grid.rows - np.float32(animal.centre[0]), grid.columns - np.float32(animal.centre[1]))
    u = along(offset, step(animal.heading, 1 / animal.radius))
    v = along(offset, step(animal.heading + np.pi / 2, 1 / animal.radius))
    return PATTERNS[mark.pattern](u, v) & (np.hypot(u, v) < 0.92)
