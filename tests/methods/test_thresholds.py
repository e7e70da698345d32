from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from wsss.methods.thresholds import BINS, RULES, STEPS, half_maximum, otsu, threshold_by, value_histogram


def histogram_of(values: object) -> np.ndarray:
    return value_histogram(np.asarray(values, np.float32).reshape(1, 1, -1))


def drawn(seed: int, pixels: int = 400) -> np.ndarray:
    """Values of two kinds, as maps have them: many low ones and some high ones, in steps of a bin."""
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.beta(1, 6, pixels), rng.beta(6, 3, pixels // 3)])
    return np.ceil(values * BINS) / BINS


def slow_otsu(values: np.ndarray) -> float:
    """Every cut between two neighbouring values, in exact fractions; the middle of the best gap."""
    levels = sorted({Fraction(value) for value in values.tolist()})
    best, found = Fraction(-1), None
    for low, high in pairwise(levels):
        dark = [Fraction(value) for value in values.tolist() if value <= low]
        light = [Fraction(value) for value in values.tolist() if value > low]
        apart = sum(dark) / len(dark) - sum(light) / len(light)
        between = apart * apart * len(dark) * len(light)
        if between > best:
            best, found = between, (low + high - Fraction(1, BINS)) / 2
    return float(found)


def test_the_histogram_is_of_the_strongest_map_by_hand():
    maps = np.array([[[0.0, 0.5, 0.25]], [[0.25, 0.125, 1.0]]], np.float16)
    histogram = value_histogram(maps)
    assert histogram.dtype == np.int64 and histogram.shape == (BINS,)
    assert histogram.nonzero()[0].tolist() == [BINS // 4 - 1, BINS // 2 - 1, BINS - 1]


def test_a_bin_holds_its_upper_edge_and_the_ends_hold_the_rest():
    assert histogram_of([-0.5, 0.0, 1 / BINS]).nonzero()[0].tolist() == [0]
    assert histogram_of([1.0, 1.5]).nonzero()[0].tolist() == [BINS - 1]
    assert histogram_of([1.5 / BINS]).nonzero()[0].tolist() == [1]


def test_no_map_has_no_values():
    assert not value_histogram(np.zeros((0, 3, 4))).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_above_an_edge_and_in_a_later_bin_are_the_same_pixels(dtype):
    maps = np.random.default_rng(0).random((2, 20, 30)).astype(dtype)
    histogram = value_histogram(maps)
    for edge in (1, 100, 512, 1000):
        assert (maps.max(0) > dtype(edge / BINS)).sum() == histogram[edge:].sum()


def test_otsu_by_hand():
    # three pixels of 0.125, one of 0.25 and two of 0.75: after 0.25 the means are 5/32 and 3/4, and lie
    # (19/32)^2 * 4 * 2 = 2.82 apart; after 0.125 they are 1/8 and 7/12: (11/24)^2 * 3 * 3 = 1.89
    values = [0.125] * 3 + [0.25] + [0.75] * 2
    assert otsu(histogram_of(values)) == pytest.approx((0.25 + 0.75 - 1 / BINS) / 2)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 1 / BINS * 2), (0.25, 0.5), (0.5, 0.5 + 1 / BINS)])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_maps_of_two_values_are_parted_exactly(rule, low, high, share):
    pixels = np.where(np.arange(200) < 200 * share, high, low)
    threshold = threshold_by(rule, histogram_of(pixels))
    assert np.array_equal(pixels > threshold, pixels == high)


@pytest.mark.parametrize("seed", range(5))
def test_otsu_agrees_with_every_cut_in_exact_fractions(seed):
    values = drawn(seed, 60)
    assert otsu(histogram_of(values)) == pytest.approx(slow_otsu(values), abs=1e-12)


def test_half_maximum_by_hand():
    # of 40 pixels a twentieth are two: one is 0, the second 0.25, the level; half way to the peak of 0.75
    assert half_maximum(histogram_of([0.0] + [0.25] * 30 + [0.75] * 9)) == 0.5 - 1 / STEPS
    # 0.25 is more than a twentieth of them: half way to the peak of 1; the many of 0.5 do not count
    assert half_maximum(histogram_of([0.25] * 3 + [0.5] * 30 + [1.0] * 7)) == 0.625 - 1 / STEPS


@pytest.mark.parametrize("seed", range(5))
def test_half_maximum_agrees_with_sorted_values(seed):
    """Half way between the value at a twentieth of the way through and the last, less half a bin."""
    values = np.sort(drawn(seed))
    level = values[int(np.ceil(len(values) / 20)) - 1]
    assert half_maximum(histogram_of(values)) == pytest.approx((level + values[-1]) / 2 - 1 / STEPS, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_otsu_agrees_with_the_variance_within_in_float64(seed):
    """The least variance within both parts, of unrounded values, to a bin."""
    values = np.random.default_rng(seed).beta(1, 3, 500)
    values[:100] = 1 - values[:100] / 3
    cuts = np.sort(values)[:-1]
    within = [
        sum(part.var() * part.size for part in (values[values <= cut], values[values > cut])) for cut in cuts
    ]
    best = int(np.argmin(within))
    gap = np.sort(values)[best : best + 2]
    assert gap[0] - 2 / BINS <= otsu(histogram_of(values)) <= gap[1] + 2 / BINS


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(5))
def test_a_threshold_lies_between_the_smallest_and_the_largest_value(rule, seed):
    values = drawn(seed) * 0.5 + 0.25
    values = np.ceil(values * BINS) / BINS
    assert values.min() - 1 / BINS <= threshold_by(rule, histogram_of(values)) <= values.max()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_follows_its_map_through_shifts_and_scales(rule, seed):
    values = np.ceil(drawn(seed) * BINS / 4) / BINS
    once = threshold_by(rule, histogram_of(values))
    assert threshold_by(rule, histogram_of(values + 0.5)) == pytest.approx(once + 0.5, abs=1e-12)
    assert threshold_by(rule, histogram_of(values * 4)) == pytest.approx(once * 4, abs=4 / BINS)


@pytest.mark.parametrize("rule", RULES)
def test_only_the_shares_count(rule):
    histogram = histogram_of(drawn(1))
    assert threshold_by(rule, 1000 * histogram) == threshold_by(rule, histogram)


def test_counts_of_a_large_data_set_do_not_overflow():
    histogram = histogram_of(drawn(2)) * 10**10
    assert otsu(histogram) == otsu(histogram // 10**10)


@pytest.mark.parametrize("rule", RULES)
def test_a_map_of_one_value_is_object_and_nothing_is_background(rule):
    assert 0.5 - 1 / BINS <= threshold_by(rule, histogram_of([0.5] * 7)) < 0.5
    assert threshold_by(rule, histogram_of([0.0] * 7)) == 0


@pytest.mark.parametrize("rule", RULES)
def test_thresholds_are_whole_numbers_of_half_bins(rule):
    threshold = threshold_by(rule, histogram_of(drawn(3)))
    assert (threshold * STEPS).is_integer()


def test_refuses_bad_input():
    with pytest.raises(ValueError, match=r"maps: expected \(K, h, w\), found \(3, 4\)"):
        value_histogram(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="maps: expected finite numbers"):
        value_histogram(np.full((1, 2, 2), np.nan))
    with pytest.raises(ValueError, match=r"threshold rule: expected one of .*, found 'otsi'"):
        threshold_by("otsi", histogram_of([0.5]))
    with pytest.raises(ValueError, match=r"histogram: expected int64 \(1024,\), found int64 \(3,\)"):
        threshold_by("otsu", np.ones(3, np.int64))
    with pytest.raises(ValueError, match="histogram: expected counts of at least one pixel"):
        threshold_by("otsu", np.zeros(BINS, np.int64))
