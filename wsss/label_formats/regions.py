"""A label map as polygons, of which the later cover the earlier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.formats import Labels


class Region(NamedTuple):
    """A part of a label map that hangs together.

    Attributes:
        label: Its label.
        outline: Its outer outline through the centres of its pixels, int32 (M, 2), x before y; without its
            holes, which regions that come later cover.
    """

    label: int
    outline: NDArray[np.int32]


def regions(label: Labels) -> list[Region]:
    """Cut a label map into regions that give it back exactly when they are filled in their order.

    Regions hang together by their sides. Of two regions, one lies in a hole of the other or both lie outside
    each other, so larger outlines before smaller ones leave each pixel to its own region. The background is
    there from the start; parts of it are regions only where another one would cover them.

    Args:
        label: Label map, (H, W).

    Returns:
        The regions, by falling area of their outlines.
    """
    found = [one for value in np.unique(label) for one in _connected(label, int(value))]
    found.sort(key=lambda one: (-cv2.contourArea(one.outline), one.label, one.outline.tolist()))
    canvas = np.zeros_like(label)
    return [one for one in found if _fill(canvas, one)]


def _connected(label: Labels, value: int) -> Iterator[Region]:
    mask = (label == value).astype(np.uint8)
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    for number in range(1, count):
        left, top, width, height = (int(side) for side in boxes[number, :4])
        crop = (parts[top : top + height, left : left + width] == number).astype(np.uint8)
        (outline,), _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
        yield Region(value, outline[:, 0].astype(np.int32))


def _fill(canvas: Labels, one: Region) -> bool:
    """Fill a region on a canvas; returns whether it was needed: background on background is not."""
    x, y = one.outline[0]
    if canvas[y, x] == one.label == 0:
        return False
    cv2.drawContours(canvas, [one.outline], -1, one.label, cv2.FILLED)
    return True


def simplified(one: Region, tolerance: float) -> Region:
    """A region with fewer corners, whose outline moves by no more than a tolerance in pixels."""
    outline = cv2.approxPolyDP(one.outline[:, None], tolerance, closed=True)
    return Region(one.label, outline[:, 0].astype(np.int32))
