"""Animals: what they cover, and that they hang together by their looks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wsss.data.animals import BUILDS, COATS, PATTERNS, Animal, Kind, Mark, paint_animal, place_animal

SIZE = (96, 96)
DISC = Mark(1, 0.3)


def painted(seed: int, build: int, coat: int, mark: Mark = DISC) -> tuple[NDArray, Animal]:
    """A picture of one animal on grey, and where the animal lies."""
    rng = np.random.default_rng([seed, build, coat])
    animal = place_animal(SIZE, (48, 48), 60, build, rng)
    picture = np.full((*SIZE, 3), 0.5, np.float32)
    paint_animal(picture, animal, Kind(build, coat, mark), rng)
    return picture, animal


@pytest.mark.parametrize("build", range(len(BUILDS)))
def test_an_animal_is_one_piece_with_a_head_that_touches_the_body(build: int) -> None:
    _, animal = painted(0, build, 0)
    whole = animal.outline < 0
    assert animal.body.shape == animal.head.shape == SIZE
    assert ((animal.body < 0) & (animal.head < 0)).any()
    assert (animal.head < 0).sum() == pytest.approx(animal.head_area, rel=0.1)
    assert pieces(whole) == 1


def pieces(mask: NDArray[np.bool_]) -> int:
    """Number of connected parts of a mask, by growing one after the other."""
    left, count = mask.copy(), 0
    while left.any():
        grown = np.zeros_like(left)
        grown[tuple(np.argwhere(left)[0])] = True
        while True:
            wider = grown.copy()
            for axis in (0, 1):
                for shift in (-1, 1):
                    wider |= np.roll(grown, shift, axis)
            wider &= left
            if (wider == grown).all():
                break
            grown = wider
        left &= ~grown
        count += 1
    return count


def test_the_distance_is_that_of_a_capsule_worked_by_hand() -> None:
    """A body of one straight piece: 3 pixels thick around a line from (2, 1) to (2, 7), tapering to 1."""
    from wsss.data.animals import _distance, _Limb
    from wsss.data.painter import grid_of

    found = _distance(grid_of((6, 10)), [_Limb((2.0, 1.0), (2.0, 7.0), 3.0, 1.0)])
    assert found[2, 1] == pytest.approx(-3)  # on the line's start
    assert found[2, 4] == pytest.approx(-2)  # half way the radius is 2
    assert found[5, 4] == pytest.approx(1)  # 3 below the middle
    assert found[2, 9] == pytest.approx(1)  # 2 beyond the end, whose radius is 1


@pytest.mark.parametrize("coat", range(COATS))
def test_nothing_but_the_shadow_changes_outside_the_animal(coat: int) -> None:
    picture, animal = painted(1, 0, coat)
    far = animal.outline > 20
    assert np.allclose(picture[far], 0.5, atol=1e-3)
    assert np.isfinite(picture).all()


def test_parts_differ_more_between_animals_than_within_one() -> None:
    heads, bodies = [], []
    for seed in range(60):
        picture, animal = painted(seed, seed % len(BUILDS), seed % COATS, DISC)
        u = np.hypot(*(np.indices(SIZE) - np.reshape(animal.centre, (2, 1, 1)))) / animal.radius
        plain = (animal.head < -1) & (u > 0.62)  # the mark is a disc of radius 0.56
        heads.append(picture[plain].mean(0))
        bodies.append(picture[(animal.body < -1) & (animal.head > 1)].mean(0))
    within = np.mean((np.array(heads) - bodies) ** 2)
    between = np.mean((np.array(heads) - np.roll(bodies, 1, 0)) ** 2)
    assert between > 4 * within


@pytest.mark.parametrize("pattern", range(len(PATTERNS)))
def test_a_mark_covers_a_good_part_of_the_head_and_nothing_else(pattern: int) -> None:
    with_mark, animal = painted(2, 0, 0, Mark(pattern, 0.33))
    without, _ = painted(2, 0, 0, Mark(pattern, 0.83))  # another hue: only the mark moves
    changed = np.abs(with_mark - without).max(-1) > 0.05
    assert not changed[animal.head > 0].any()
    assert 0.2 < changed.sum() / animal.head_area < 0.8
