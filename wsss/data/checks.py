"""Everything that can be wrong with a data set, found before anything trains, in one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.decoding import PIXELS, Picture, orientation_of, read_picture
from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import read_mask
from wsss.config.datasets import Data, Pictures, VocData
from wsss.data.records import DataError, Entry, Finding, Listing
from wsss.methods.void import VOID

MAX_CLASSES = 254  # 0 is the background, 255 the ignored pixel, and label maps have 8 bits
SHOWN = 20  # findings of a kind in the report
QUOTED = 3  # findings of a kind in the error
SIDEWAYS = 5  # EXIF orientations from here on swap the sides
SEEN = 5  # masks that must show a class before its place in the order is judged

REMEDIES: Mapping[str, str] = {
    "missing folder": "not there: get it, or correct the path in the config",
    "missing file": "not there: get it, or correct the path in the config",
    "bad settings": "correct the data set's entry in the config",
    "bad table": "expected a UTF-8 CSV table `id,class,class,...` or `id,<class names as 0/1 columns>`",
    "bad row": "correct the row; a table of class names instead of 0/1 has the header `id,class,class,...`",
    "bad annotations": "the file is damaged or of another form: get it again",
    "bad id": "ids are names relative to the image folder, without '..'",
    "duplicate id": "every image has one id, one row and one split: remove the others",
    "id without labels": "add its labels; an image that shows no class has a row with no class",
    "unknown class": "correct the name, or add it to the data set's class list",
    "class names": "one class has one name, one cell names one class, and numbers count from 0",
    "empty class": "no training image shows it: add one, drop it, or set allow_empty_classes",
    "empty split": "list images for it in the table's split column or in a list file",
    "wrong count": "the data set is incomplete or of another edition: compare its lists, or correct `counts`",
    "missing image": "restore the image or take its id out of the lists",
    "unreadable image": "truncated, no image or of a form that is not read: mend it or take its id "
    "out of the lists",
    "large image": "the classifier could be trained and its maps not taken: do what the line says",
    "missing mask": "restore the mask; without masks at all set the mask folder to null",
    "unreadable mask": "expected a whole PNG, palette or 8-bit grey, of class indices",
    "mask size": "a mask has its image's width and height as viewers show them, after its EXIF orientation",
    "mask values": "a mask holds 0 for background, 1..C for the classes in their order, and 255 for ignored; "
    "of an own data set say in `masks_values` what other values mean",
    "class order": "masks and labels count the classes in different orders: list them in the masks' order",
}


class Examined(NamedTuple):
    """An image's height and width (0 if unreadable), findings about its files, and its mask's classes."""

    height: int
    width: int
    findings: tuple[Finding, ...]
    shown: tuple[int, ...] = ()
    ignored: bool = False  # whether the mask holds 255
    background: bool = False  # whether the mask holds 0
    remarks: tuple[str, ...] = ()  # keys of ``remarks.REMARKS``


def examine(entry: Entry, num_classes: int, limit: int = PIXELS) -> Examined:
    """Decode an entry's image and mask completely.

    Args:
        entry: The image to look at.
        num_classes: Number of foreground classes C.
        limit: Pixels that an image may have.

    Returns:
        Size and findings; a process pool maps this over all entries.
    """
    if not entry.image.is_file():
        return Examined(0, 0, (Finding("missing image", f"{entry.id!r}: {entry.image}"),))
    try:
        picture = read_picture(entry.image, limit)
    except ArtefactError as error:
        return Examined(0, 0, (Finding("unreadable image", f"{entry.id!r}: {error}"),))
    size = (picture.pixels.shape[0], picture.pixels.shape[1])
    examined = _examine_mask(entry, size, num_classes, limit)
    remarks = ("dim",) * picture.dim + ("turned",) * _doubtful(entry.mask, picture, examined)
    return examined._replace(remarks=remarks)


def mapped_sizes(entries: Iterable[Entry], examined: Iterable[Examined]) -> list[tuple[int, int]]:
    """Height and width of the images whose class maps are taken: training images that show a class."""
    pairs = zip(entries, examined, strict=True)
    return [
        (one.height, one.width)
        for entry, one in pairs
        if "train" in entry.splits and entry.classes and one.height
    ]


def _doubtful(mask: Path | None, picture: Picture, examined: Examined) -> bool:
    """Whether nothing tells that a mask lies as its turned picture is shown: no tag of its own, no side."""
    if mask is None or picture.orientation == 1 or examined.findings:
        return False
    return (picture.orientation < SIDEWAYS or examined.height == examined.width) and orientation_of(mask) == 1


def _examine_mask(entry: Entry, size: tuple[int, int], num_classes: int, limit: int) -> Examined:
    if entry.mask is None:
        return Examined(*size, ())
    if not entry.mask.is_file():
        return Examined(*size, (Finding("missing mask", f"{entry.id!r}: {entry.mask}"),))
    try:
        mask = read_mask(str(entry.mask), limit)
    except ArtefactError as error:
        return Examined(*size, (Finding("unreadable mask", f"{entry.id!r}: {error}"),))
    values = [int(value) for value in np.unique(mask)]
    findings = [*_check_size(entry, mask, size), *_check_values(entry, values, num_classes)]
    shown = tuple(value - 1 for value in values if 0 < value <= num_classes)
    return Examined(*size, tuple(findings), shown, VOID in values, 0 in values)


def _check_size(entry: Entry, mask: NDArray[np.uint8], size: tuple[int, int]) -> list[Finding]:
    if mask.shape == size:
        return []
    turned = mask.shape == size[::-1]
    hint = "; sides swapped: drawn on the picture before its EXIF orientation was applied?" if turned else ""
    found = f"expected {size[1]}x{size[0]}, found {mask.shape[1]}x{mask.shape[0]}"
    return [Finding("mask size", f"{entry.id!r}: {entry.mask}: {found}{hint}")]


def _check_values(entry: Entry, values: Sequence[int], num_classes: int) -> list[Finding]:
    wrong = [value for value in values if value > num_classes and value != VOID]
    if not wrong:
        return []
    found = f"expected 0..{num_classes} and {VOID}, found {', '.join(map(str, wrong[:5]))}"
    return [Finding("mask values", f"{entry.id!r}: {entry.mask}: {found}")]


def check_class_order(listing: Listing, examined: Iterable[Examined]) -> list[Finding]:
    """Findings where masks and image labels name the same things by different numbers.

    Labels may leave out what a mask shows, so a class is misplaced only if most images whose mask shows it
    lack its label, and most of them have the label of one other class of which the same is true.

    Args:
        listing: What the data set's reader found.
        examined: Of each of its entries, in their order.

    Returns:
        A finding for each misplaced class.
    """
    images: Counter[int] = Counter()
    labelled: dict[int, Counter[int]] = {}
    for entry, one in zip(listing.entries, examined, strict=True):
        for index in one.shown if entry.classes else ():
            images[index] += 1
            labelled.setdefault(index, Counter()).update(entry.classes)
    lacking = sorted(
        index for index, times in images.items() if times >= SEEN and 2 * labelled[index][index] < times
    )
    findings = []
    for index in lacking:
        other = max(lacking, key=labelled[index].__getitem__)
        if 2 * labelled[index][other] > images[index]:
            findings.append(_misplaced(listing.classes, index, other, images[index], labelled[index]))
    return findings


def check_masks_show(listing: Listing, examined: Iterable[Examined]) -> list[Finding]:
    """A finding where no mask shows a class although its image has one: nothing could be scored."""
    pairs = zip(listing.entries, examined, strict=True)
    masked = [(entry, one) for entry, one in pairs if entry.mask and entry.classes]
    if not masked or any(one.shown or one.findings for _, one in masked):
        return []
    held = "0 and 255 alone" if any(one.ignored for _, one in masked) else "0 alone"
    names = ", ".join(str(entry.mask) for entry, _ in masked[:QUOTED])
    found = f"the masks of {len(masked)} labelled images hold {held}, such as {names}"
    return [
        Finding(
            "mask values",
            f"{found}; 255 is ignored: write 1, 2, ... for the classes, or say in `masks_values` what 255 is",
        )
    ]


def _misplaced(
    classes: Sequence[str], index: int, other: int, images: int, labelled: Mapping[int, int]
) -> Finding:
    return Finding(
        "class order",
        f"mask value {index + 1}, by the class list {classes[index]!r}: of {images} images that show it "
        f"{labelled[index]} are labelled {classes[index]!r} and {labelled[other]} {classes[other]!r}",
    )


def check_listing(listing: Listing, settings: Data) -> list[Finding]:
    """Findings about the lists as a whole: sizes of splits, classes that no training image shows, ids.

    Args:
        listing: What the data set's reader found.
        settings: Whether classes may have no training image, and how many images each split must have;
            splits that are not named may have any number.

    Returns:
        The reader's findings and these.
    """
    findings = list(listing.findings)
    if not listing.entries and findings:  # the cause is known; nothing else can be said
        return findings
    if len(listing.classes) > MAX_CLASSES or not listing.classes:
        text = f"expected 1 to {MAX_CLASSES} classes, found {len(listing.classes)}"
        findings.append(Finding("bad settings", text))
    findings += _check_splits(listing.entries, settings)
    if not settings.allow_empty_classes:
        findings += _check_classes(listing)
    return findings


def pixel_limit(settings: Data) -> int:
    """Pixels that an image of a data set may have."""
    return settings.largest_image if isinstance(settings, Pictures) else PIXELS


def _check_splits(entries: Iterable[Entry], settings: Data) -> list[Finding]:
    counts = settings.counts if isinstance(settings, VocData) else {}
    sizes = Counter(split for entry in entries for split in entry.splits)  # also of names that are no split
    found = [] if sizes["train"] else [Finding("empty split", "no image is in the split 'train'")]
    return found + [
        Finding("wrong count", f"split {split!r}: expected {expected} images, found {sizes[split]}")
        for split, expected in counts.items()
        if sizes[split] != expected
    ]


def _check_classes(listing: Listing) -> list[Finding]:
    shown = {index for entry in listing.entries if "train" in entry.splits for index in entry.classes}
    return [
        Finding("empty class", f"class {index} ({name!r}) of {len(listing.classes)}")
        for index, name in enumerate(listing.classes)
        if index not in shown
    ]


def report(findings: Iterable[Finding], shown: int) -> str:
    """All findings grouped by kind: their number, how to fix them, and the first ``shown`` of them."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding.detail)
    lines = []
    for kind in REMEDIES:
        details = groups.get(kind, [])
        if details:
            lines.append(f"{kind}, {len(details)} in all ({REMEDIES[kind]}):")
            lines += [f"  {detail}" for detail in details[:shown]]
            lines += [f"  ... and {len(details) - shown} more"] if len(details) > shown else []
    return "\n".join(lines)


def data_error(dataset: str, findings: list[Finding]) -> DataError:
    """The error that stops a run whose data set has findings."""
    return DataError(
        f"data set {dataset!r} cannot be used, {len(findings)} findings; fix them and run again:\n"
        + report(findings, QUOTED)
    )
