"""Holding images back where nothing says which."""

from pathlib import Path

import pytest

from wsss.data.records import Entry
from wsss.setup.split import choose_val, is_split, lists


def entry(name: str, *classes: int, masked: bool = True, split: str = "train") -> Entry:
    return Entry(name, Path(f"{name}.jpg"), Path(f"{name}.png") if masked else None, classes, (split,))


def test_one_in_five_of_those_with_a_mask() -> None:
    entries = [entry(f"{number:02d}", number % 2, masked=number < 20) for number in range(40)]
    chosen = choose_val(entries)
    assert len(chosen) == 4 and all(name < "20" for name in chosen)


def test_always_the_same_whatever_their_order() -> None:
    entries = [entry(f"{number:02d}", number % 3) for number in range(30)]
    assert choose_val(entries) == choose_val(reversed(entries)) == sorted(choose_val(entries))


@pytest.mark.parametrize("count", range(5))
def test_too_few_masks_to_hold_any_back(count: int) -> None:
    assert choose_val([entry(str(number), 0) for number in range(count)]) == []


def test_every_class_keeps_a_training_image() -> None:
    entries = [entry(f"rare{number}", number) for number in range(1, 20)] + [entry("a", 0), entry("b", 0)]
    assert choose_val(entries) in (["a"], ["b"])


def test_images_that_show_nothing_are_not_held_back() -> None:
    assert choose_val([entry(str(number)) for number in range(20)]) == []


def test_whether_there_is_a_split() -> None:
    assert not is_split([entry("a", 0)])
    assert is_split([entry("a", 0), entry("b", 0, split="test")])


def test_lists_name_every_image_once() -> None:
    files, names = lists("pets", [entry("a", 0), entry("d/b", 0, split="val")])
    assert names == {"train": "pets.train.txt", "val": "pets.val.txt"}
    assert files == {Path("pets.train.txt"): "a\n", Path("pets.val.txt"): "d/b\n"}
