"""Regions that are filled one after the other give the label map back."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from tests.support.label_sources import TINY, scene
from wsss.artefacts.formats import Labels
from wsss.label_formats.regions import Region, regions, simplified


def filled(found: Sequence[Region], size: tuple[int, int]) -> Labels:
    """The label map (H, W) that regions give when OpenCV fills them in their order."""
    canvas = np.zeros(size, np.uint8)
    for one in found:
        cv2.drawContours(canvas, [one.outline], -1, one.label, cv2.FILLED)
    return canvas


def test_regions_of_a_label_map_worked_by_hand() -> None:
    found = [(one.label, sorted(map(tuple, one.outline.tolist()))) for one in regions(TINY)]
    assert found == [
        (1, [(1, 0), (1, 2), (3, 0), (3, 2)]),
        (0, [(2, 1)]),  # the hole; the background around the cat needs no region
        (2, [(4, 1), (4, 2)]),
        (255, [(4, 3)]),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_filling_gives_the_label_map_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    noise = rng.choice([0, 1, 2, 255], size).astype(np.uint8)
    for label in (scene(seed), noise):
        assert np.array_equal(filled(regions(label), label.shape), label)


def test_parts_that_touch_at_corners_are_not_one() -> None:
    label = np.eye(3, dtype=np.uint8)
    assert [one.label for one in regions(label)] == [1, 1, 1]
    assert np.array_equal(filled(regions(label), (3, 3)), label)


def test_background_alone_has_no_regions() -> None:
    assert regions(np.zeros((3, 4), np.uint8)) == []


def test_an_outline_moves_by_no_more_than_the_tolerance() -> None:
    y, x = np.mgrid[:80, :90]
    label = ((y - 40) ** 2 + (x - 45) ** 2 < 30**2).astype(np.uint8)
    (exact,) = regions(label)
    rough = simplified(exact, 2.0)
    assert len(rough.outline) < len(exact.outline) / 2
    changed = filled([rough], label.shape) != label
    distance = np.abs(np.hypot(y - 40, x - 45) - 30)
    assert changed.any() and distance[changed].max() <= 2.0 + 1
    assert np.array_equal(simplified(exact, 0.0).outline[:1], exact.outline[:1])
