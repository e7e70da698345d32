"""Background scores that class maps give by themselves, without masks: rules on histograms of their values.

A histogram counts the values of an image's strongest map, or of those of many images: counts add up, and the
same rule serves both. Its bins are half open, ``(i / BINS, (i + 1) / BINS]``, so that "above the upper edge
of bin i" and "in a bin after i" are the same pixels; values outside (0, 1] fall into the first or last bin.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Histogram = NDArray[np.int64]

BINS = 1024  # a power of two: edges are exact in every precision of maps
GROUND = (
    20  # of an image's pixels one in so many is taken for background: it is hardly ever object to its rim
)
STEPS = 2 * BINS  # thresholds are whole numbers of half bins, so that sums of them are sums of integers


def value_histogram(maps: ArrayLike) -> Histogram:
    """Count the values of the strongest map, pixel by pixel.

    Args:
        maps: Class maps in [0, 1], (K, h, w).

    Returns:
        Pixels by value, int64 (BINS,); all zero for no map.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"maps: expected (K, h, w), found {maps.shape}")
    if not len(maps):
        return np.zeros(BINS, np.int64)
    strongest = maps.max(0).astype(np.float64)
    if not np.isfinite(strongest).all():
        raise ValueError("maps: expected finite numbers, found others")
    bins = np.clip(np.ceil(strongest * BINS) - 1, 0, BINS - 1).astype(np.int64)
    return np.bincount(bins.ravel(), minlength=BINS)


def otsu(histogram: Histogram) -> float:
    """Part the values in two such that their means lie furthest apart, weighed by both shares (Otsu, 1979).

    The variance between the parts is the same for all thresholds within a gap of the values; the middle of
    the gap is taken. Where all values are one, the threshold is just below it: such an object fills its
    image. All zero is background.

    Args:
        histogram: Pixels by value, int64 (BINS,), not all zero.

    Returns:
        Threshold between the smallest and the largest value.
    """
    below = histogram.cumsum()  # pixels up to each bin's upper edge
    first = int(_between(histogram, below).argmax())
    if below[first] in (0, below[-1]):
        return int(histogram.argmax()) / BINS  # one value
    after = int(np.searchsorted(below, below[first], side="right"))  # the first bin above the gap
    return (first + 1 + after) / STEPS


def _between(histogram: Histogram, below: Histogram) -> NDArray[np.float64]:
    """Variance between the values up to each bin and those after it, times the squared number of pixels."""
    moments = (histogram * np.arange(len(histogram))).cumsum()
    low, high = below.astype(np.float64), (below[-1] - below).astype(np.float64)
    apart = moments * high - (moments[-1] - moments) * low
    both = low * high
    return np.divide(apart * apart, both, out=np.zeros_like(both), where=both > 0)


def half_maximum(histogram: Histogram) -> float:
    """Half way between the level of the background and the peak, as the width of a peak is measured.

    The level is the value that all but the lowest twentieth of the pixels exceed: maps gathered over
    attention stand on a ground well above zero, which differs from image to image. Where more than
    nineteen twentieths have the highest value, the threshold is just below it: the object fills its image.

    Args:
        histogram: Pixels by value, int64 (BINS,), not all zero.

    Returns:
        Threshold between the smallest and the largest value.
    """
    below = histogram.cumsum()
    level = int(np.searchsorted(GROUND * below, below[-1]))  # the bin that holds it
    peak = int(np.flatnonzero(histogram)[-1])
    return level / BINS if level == peak else (level + peak + 1) / STEPS


RULES: dict[str, Callable[[Histogram], float]] = {"otsu": otsu, "half_maximum": half_maximum}


def threshold_by(rule: str, histogram: ArrayLike) -> float:
    """The background score that a rule finds.

    Args:
        rule: Name of one of :data:`RULES`.
        histogram: Pixels by value, int64 (BINS,), of one image or of many.

    Returns:
        Threshold in [0, 1], a whole number of half bins, ``n / STEPS``.
    """
    counts = np.asarray(histogram)
    if rule not in RULES:
        raise ValueError(f"threshold rule: expected one of {sorted(RULES)}, found {rule!r}")
    if counts.shape != (BINS,) or counts.dtype != np.int64:
        raise ValueError(f"histogram: expected int64 ({BINS},), found {counts.dtype} {counts.shape}")
    if counts.min() < 0 or not counts.any():
        raise ValueError("histogram: expected counts of at least one pixel, none negative")
    return round(float(np.clip(RULES[rule](counts), 0, 1)) * STEPS) / STEPS
