"""The stream of samples is the same from any start."""

from itertools import islice

import pytest

from wsss.data.sampler import PositionSampler, Sample


def take(size: int, seed: int, start: int, count: int) -> list[Sample]:
    return list(islice(PositionSampler(size, seed, start), count))


@pytest.mark.parametrize("start", [0, 1, 6, 7, 8, 20, 21])
def test_a_later_start_continues_the_same_stream(start: int) -> None:
    assert take(7, 3, start, 15) == take(7, 3, 0, start + 15)[start:]


def test_each_epoch_is_another_permutation() -> None:
    samples = take(50, 0, 0, 100)
    first, second = [sample.index for sample in samples[:50]], [sample.index for sample in samples[50:]]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert [sample.position for sample in samples] == list(range(100))


def test_the_seed_changes_the_order() -> None:
    assert take(50, 0, 0, 50) != take(50, 1, 0, 50)


def test_nothing_to_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image to sample, found 0"):
        PositionSampler(0, 0)
