"""What is worth a look in a data set without being wrong."""

from pathlib import Path

from wsss.data.checks import Examined
from wsss.data.records import Entry, Listing, Remark
from wsss.data.remarks import ENOUGH, REMARKS, remarks


def listing(*classes: tuple[int, ...]) -> Listing:
    entries = [Entry(f"i{at}", Path("x"), None, shown, ("train",)) for at, shown in enumerate(classes)]
    return Listing(("cat", "dog"), tuple(entries))


def said(images: Listing, *kinds: tuple[str, ...]) -> list[Remark]:
    kept = kinds or ((),) * len(images.entries)
    return remarks(images, [Examined(6, 8, (), remarks=each) for each in kept])


def test_pictures_are_counted_and_the_first_is_named() -> None:
    first, second = said(listing((0,), (1,), ()), (), ("turned", "dim"), ("turned",))
    assert first.found.startswith("2 pictures are turned by their EXIF orientation") and "'i1'" in first.found
    assert second == Remark("1 pictures of 16 bits use 12 of them or fewer, such as 'i1'", REMARKS["dim"].fix)


def test_a_class_in_every_training_image() -> None:
    (remark,) = said(listing(*[(0, at % 2) for at in range(ENOUGH)]))
    assert remark.found.startswith(f"class 'cat' is in each of the {ENOUGH} training images")
    assert "bare background" in remark.fix
    assert said(listing(*[(0,)] * ENOUGH, ())) == []
    assert said(listing(*[(0,)] * (ENOUGH - 1))) == []


def test_what_the_lists_say_comes_first() -> None:
    assert remarks(Listing(remarks=(Remark("a", "b"),)), []) == [Remark("a", "b")]
