"""What is no fault of a data set but worth a look before days of training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wsss.data.checks import Examined
from wsss.data.records import Entry, Listing, Remark

ENOUGH = 8  # training images, of which a class that all of them show is no chance

REMARKS = {
    "turned": Remark(
        "{count} pictures are turned by their EXIF orientation and nothing tells whether their masks are, "
        "such as {first!r}",
        "masks are taken to lie as viewers show the picture; turn those that do not",
    ),
    "dim": Remark(
        "{count} pictures of 16 bits use 12 of them or fewer, such as {first!r}",
        "the upper 8 are read, which are nearly black; scale them to the whole range",
    ),
}


def remarks(listing: Listing, examined: Iterable[Examined]) -> list[Remark]:
    """What a data set's lists, files and labels are remarkable for.

    Args:
        listing: What the data set's reader found.
        examined: Of each of its entries, in their order.
    """
    return [*listing.remarks, *of_files(listing.entries, examined), *ubiquitous(listing)]


def of_files(entries: Iterable[Entry], examined: Iterable[Examined]) -> Iterator[Remark]:
    """Of pictures, counted."""
    names: dict[str, list[str]] = {}
    for entry, one in zip(entries, examined, strict=True):
        for kind in one.remarks:
            names.setdefault(kind, []).append(entry.id)
    for kind, (found, fix) in REMARKS.items():
        if kind in names:
            yield Remark(found.format(count=len(names[kind]), first=names[kind][0]), fix)


def ubiquitous(listing: Listing) -> Iterator[Remark]:
    """Of classes that no training image is without: nothing tells their maps from the background's."""
    trained = [entry.classes for entry in listing.entries if "train" in entry.splits]
    for index, name in enumerate(listing.classes):
        if len(trained) >= ENOUGH and all(index in classes for classes in trained):
            yield Remark(
                f"class {name!r} is in each of the {len(trained)} training images, so nothing tells it from "
                "what else is always there",
                "add images without it, such as crops of bare background; their rows have no class",
            )
