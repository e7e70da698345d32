"""Large imports while the garbage collector rests."""

import gc
from collections.abc import Iterator

import pytest

from wsss.runtime.imports import uncollected


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Other tests keep the collector as it was."""
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_rests_inside_and_leaves_what_came_out() -> None:
    gc.unfreeze()
    with uncollected():
        assert not gc.isenabled()
        made = [[] for _ in range(10)]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(made)
    assert not any(found is made for found in gc.get_objects())


def test_a_failure_wakes_it() -> None:
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_rested_goes_on_resting() -> None:
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
