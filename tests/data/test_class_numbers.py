"""Masks that number the classes otherwise than the image labels, found image by image."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from wsss.data.checks import Examined
from wsss.data.class_numbers import check_masks, check_numbering
from wsss.data.records import Entry, Finding, Listing

TWELVE = tuple(str(number) for number in range(1, 13))
Image = tuple[tuple[int, ...], tuple[int, ...]]  # classes of the labels, values of the mask


def found(names: Sequence[str], *images: Image, masks: bool = True) -> list[Finding]:
    entries = [
        Entry(f"i{at}", Path("x"), Path("m") if masks else None, labels, ("train",))
        for at, (labels, _) in enumerate(images)
    ]
    examined = [
        Examined(6, 8, (), tuple(value - 1 for value in values if value), background=0 in values)
        for _, values in images
    ]
    return check_numbering(Listing(tuple(names), tuple(entries)), examined)


def test_masks_from_0_without_a_background() -> None:
    (finding,) = found(("cat", "dog"), ((0,), (0,)), ((1,), (1,)), ((0, 1), (0, 1)), ((1,), (1,)))
    assert finding.kind == "mask values"
    assert finding.detail == (
        "masks seem to count the classes from 0, without a background: 4 of 4 images say so, such as "
        "'i0' (labelled cat, mask empty); 'i1' (labelled dog, mask cat); 'i2' (labelled cat, dog, mask cat)"
    )


def test_masks_that_count_from_2() -> None:
    (finding,) = found(("cat", "dog", "owl"), ((0,), (1, 2)), ((1,), (1, 3)), ((0, 1), (1, 2, 3)))
    assert "count the classes from 2, with 1 as background" in finding.detail


def test_numbers_sorted_as_text_with_one_image_a_class() -> None:
    names = sorted(TWELVE)  # 1, 10, 11, 12, 2, ...
    images = [((names.index(name),), (0, int(name))) for name in TWELVE]
    (finding,) = found(names, *images)
    assert finding.kind == "class order"
    assert (
        "masks seem to have the classes in the order 1, 2, 3, ..., the class list 1, 10, 11, ..."
        in finding.detail
    )
    assert found(TWELVE, *[((at,), (0, at + 1)) for at in range(12)]) == []


def test_two_classes_changed_places_in_two_images() -> None:
    (finding,) = found(("cat", "dog"), ((0,), (0, 2)), ((1,), (0, 1)))
    assert "in another order than the class list: 2 of 2 images say so" in finding.detail


@pytest.mark.parametrize(
    "images",
    [
        (((0,), (0, 1)), ((1,), (0, 2))),  # right
        (((0,), (0,)), ((), (0, 1))),  # void alone; no labels
        (((0,), (0, 1)), ((1,), (0, 1))),  # one image of two is mislabelled
        (((0,), (0, 1, 3)), ((1,), (0, 2, 3)), ((0, 1), (0, 1, 2, 3))),  # one is never labelled
        (((0,), (0, 1, 2, 3)),) * 5,  # most are never labelled
        (((0, 1, 2), (0, 1)), ((0, 1, 2), (0, 2)), ((0, 1, 2), (0, 3))),  # masks show one of three
    ],
)
def test_labels_and_masks_that_only_differ_prove_no_other_numbering(images: tuple[Image, ...]) -> None:
    assert found(("cat", "dog", "person"), *images) == []


def test_nothing_to_compare() -> None:
    assert found(("cat",)) == []
    assert found(("cat", "dog"), ((0,), (0, 2)), ((1,), (0, 1)), masks=False) == []


def test_masks_of_one_class_of_which_half_are_empty_are_kept() -> None:
    assert found(("cell",), ((0,), (0, 1)), ((0,), (0,))) == []


def test_all_checks_of_masks_together_say_a_fault_once() -> None:
    listing = Listing(("cell",), (Entry("a", Path("x"), Path("m"), (0,), ("train",)),))
    (finding,) = check_masks(listing, [Examined(6, 8, (), (), True, True)])
    assert "0 and 255 alone" in finding.detail
