"""Which images stand for a split."""

import pytest

from wsss.artefacts.formats import ArtefactError, Record
from wsss.report.example_images import choose


def test_images_are_chosen_evenly_and_half_of_them_with_several_classes() -> None:
    classes: list[tuple[int, ...]] = [(0, 1) if number % 4 == 0 else (0,) for number in range(40)]
    classes[1] = ()
    records = [Record(str(n), "", None, 1, 1, present, ("train",)) for n, present in enumerate(classes)]
    chosen = choose(records, 4)
    assert [len(record.classes) for record in chosen] == [2, 2, 1, 1]
    assert len({record.id for record in choose(records, 100)}) == 39


@pytest.mark.parametrize(
    ("several", "single", "expected"), [(0, 5, (0, 4)), (5, 1, (3, 1)), (1, 5, (1, 3)), (1, 1, (1, 1))]
)
def test_one_kind_fills_up_for_the_other(several: int, single: int, expected: tuple[int, int]) -> None:
    kinds: list[tuple[int, ...]] = [(0, 1)] * several + [(0,)] * single
    records = [Record(str(n), "", None, 1, 1, present, ("train",)) for n, present in enumerate(kinds)]
    chosen = choose(records, 4)
    found = sum(len(record.classes) > 1 for record in chosen)
    assert (found, len(chosen) - found) == expected


def test_nothing_to_draw_is_a_clear_error() -> None:
    with pytest.raises(ArtefactError, match="no image of the split has a class"):
        choose([], 4)
