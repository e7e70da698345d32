"""Label maps from class maps: training labels for IRN, and pseudo labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsss.methods.crf import label_crf
from wsss.methods.void import VOID

IRN: dict[str, Any] = {
    "foreground": 0.30,
    "background": 0.05,
    "gt_prob": 0.7,
    "crf": {
        "iterations": 10,
        "gaussian_sxy": 3,
        "gaussian_compat": 3,
        "bilateral_sxy": 50,
        "bilateral_srgb": 5,
        "bilateral_compat": 10,
    },
}
"""Published settings of IRN's training labels."""


def label_thresholds(
    foreground: float | Mapping[str, float], background: float | Mapping[str, float], threshold: float | None
) -> tuple[float, float]:
    """The scores that sure and possible foreground must exceed, in numbers.

    Args:
        foreground: A number, or ``{"above": distance}`` from the threshold that the map has.
        background: A number, or ``{"below": distance}``.
        threshold: The map's own threshold in [0, 1]; None where both are numbers.

    Returns:
        Foreground and background score. One that is relative goes at most half of the way from the
        threshold to 1, and to 0: a score of 1 would leave no foreground, one below 0 no background.
    """
    if isinstance(foreground, Mapping):
        own = _own(threshold, "foreground")
        foreground = min(own + foreground["above"], (own + 1) / 2)
    if isinstance(background, Mapping):
        own = _own(threshold, "background")
        background = max(own - background["below"], own / 2)
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
    settings: Mapping[str, Any],
) -> NDArray[np.uint8]:
    """Mark what the maps are sure of: foreground, background, and unknown between (IRN, section 5.3).

    Args:
        image: RGB image, uint8 (H, W, 3).
        maps: Class maps in [0, 1], (K, H, W).
        classes: Class of each map, counted from 0 without background.
        settings: Any of the keys of :data:`IRN`, whose values are the defaults: ``foreground`` and
            ``background``, the scores a pixel must exceed to be sure, and to be possible foreground;
            ``gt_prob``, the trust in the thresholded maps; ``crf``, see :func:`wsss.methods.crf.dense_crf`.

    Returns:
        0 for background, class + 1, or 255 for unknown, uint8 (H, W).
    """
    maps, names = _checked(maps, classes)
    chosen = _chosen(settings)

    def cleaned(threshold: float) -> NDArray[np.uint8]:
        local = _strongest(maps, threshold)
        return names[label_crf(image, local, len(names), chosen["gt_prob"], chosen["crf"])]

    sure, possible = cleaned(chosen["foreground"]), cleaned(chosen["background"])
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


def _chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(settings) - set(IRN))
    if unknown:
        raise ValueError(f"label settings: expected keys among {sorted(IRN)}, found {unknown}")
    return {**IRN, **settings, "crf": {**IRN["crf"], **settings.get("crf", {})}}


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
