"""Label maps from class maps: training labels for IRN, and pseudo labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.methods.crf import label_crf
from wsss.methods.void import VOID

if TYPE_CHECKING:
    from wsss.config.networks import Crf
    from wsss.config.refiners import Above, Below


def label_thresholds(
    foreground: "float | Above", background: "float | Below", threshold: float | None
) -> tuple[float, float]:
    """The scores that sure and possible foreground must exceed, in numbers.

    Args:
        foreground: A number, or the distance above the threshold that the map has.
        background: A number, or the distance below it.
        threshold: The map's own threshold in [0, 1]; None where both are numbers.

    Returns:
        Foreground and background score. One that is relative goes at most half of the way from the
        threshold to 1, and to 0: a score of 1 would leave no foreground, one below 0 no background.
    """
    if not isinstance(foreground, float | int):
        own = _own(threshold, "foreground")
        foreground = min(own + foreground.above, (own + 1) / 2)
    if not isinstance(background, float | int):
        own = _own(threshold, "background")
        background = max(own - background.below, own / 2)
    return foreground, background


def _own(threshold: float | None, key: str) -> float:
    if threshold is None or not 0 <= threshold <= 1:
        raise ValueError(
            f"{key}: expected a threshold of the map in 0..1 to be relative to, found {threshold}"
        )
    return threshold


def irn_labels(
    image: NDArray[np.uint8],
    maps: ArrayLike,
    classes: Sequence[int],
    *,
    foreground: float,
    background: float,
    gt_prob: float,
    crf: "Crf",
) -> NDArray[np.uint8]:
    """Mark what the maps are sure of: foreground, background, and unknown between (IRN, section 5.3).

    Args:
        image: RGB image, uint8 (H, W, 3).
        maps: Class maps in [0, 1], (K, H, W).
        classes: Class of each map, counted from 0 without background.
        foreground: The score a pixel must exceed to be sure foreground; IRN has 0.3.
        background: The score it must exceed to be possible foreground; IRN has 0.05.
        gt_prob: The trust in the thresholded maps; IRN has 0.7.
        crf: What cleans them.

    Returns:
        0 for background, class + 1, or 255 for unknown, uint8 (H, W).
    """
    maps, names = _checked(maps, classes)

    def cleaned(threshold: float) -> NDArray[np.uint8]:
        local = _strongest(maps, threshold)
        return names[label_crf(image, local, len(names), gt_prob, crf)]

    sure, possible = cleaned(foreground), cleaned(background)
    between = np.where(possible == 0, 0, VOID).astype(np.uint8)
    return np.where(sure == 0, between, sure)


def pseudo_labels(maps: ArrayLike, classes: Sequence[int], threshold: float) -> NDArray[np.uint8]:
    """Give each pixel its strongest class, or background where none exceeds the threshold.

    Args:
        maps: Class maps, (K, H, W).
        classes: Class of each map, counted from 0 without background.
        threshold: Score of the background, which also wins ties.

    Returns:
        0 for background, or class + 1, uint8 (H, W).
    """
    maps, names = _checked(maps, classes)
    return names[_strongest(maps, threshold)]


def _strongest(maps: NDArray[np.floating], background: float) -> NDArray[np.intp]:
    """Index of the strongest of background (0) and maps (1 .. K), the first among equals, (H, W)."""
    return np.pad(maps, ((1, 0), (0, 0), (0, 0)), constant_values=background).argmax(0)


def _checked(maps: ArrayLike, classes: Sequence[int]) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
    """Maps as an array, and the label of background and of each map, (K + 1,)."""
    maps = np.asarray(maps)
    labels = [0, *(int(index) + 1 for index in classes)]
    if maps.ndim != 3 or len(maps) != len(labels) - 1:
        raise ValueError(f"maps: expected ({len(labels) - 1}, H, W), found {maps.shape}")
    if min(labels[1:], default=1) < 1 or max(labels) >= VOID:
        raise ValueError(f"classes: expected 0 to {VOID - 2}, found {list(classes)}")
    return maps, np.array(labels, np.uint8)
