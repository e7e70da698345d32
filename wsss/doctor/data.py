"""A data set's lists as a whole, and a sample of its files, with the checks of ``prepare_manifest``."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsss.artefacts.decoding import PIXELS
from wsss.artefacts.files import ArtefactError
from wsss.data.checks import REMEDIES, Examined, check_listing, examine, mapped_sizes
from wsss.data.class_numbers import check_masks
from wsss.data.coco import check_paths, coco_splits
from wsss.data.image_index import EXTENSIONS
from wsss.data.listings import LISTINGS
from wsss.data.records import Entry, Finding, Listing
from wsss.data.remarks import of_files, ubiquitous
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, listed
from wsss.methods.void import VOID

# The lines of the report, and the kinds of finding that each tells.
LINES: Mapping[str, tuple[str, ...]] = {
    "files": ("missing folder", "missing file", "bad settings", "bad table", "bad annotations"),
    "counts": ("empty split", "wrong count"),
    "image labels": (
        "bad row",
        "bad id",
        "duplicate id",
        "id without labels",
        "unknown class",
        "class names",
        "empty class",
    ),
    "images": ("missing image", "unreadable image", "large image"),
    "masks": ("missing mask", "unreadable mask", "mask size", "mask values"),
    "class order": ("class order",),
}
# Images a split of the published editions; VOC's train is train_aug and its seed is VOC's train.
PUBLISHED: Mapping[str, Mapping[str, int]] = {
    "voc": {"train": 10582, "seed": 1464, "val": 1449},
    "coco": {"train": 82783, "val": 40504},
}
SPLITS = ("train", "seed", "val", "test")
SAMPLED = {True: 96, False: 32}  # images decoded, of those with a mask and of those without
SECONDS = 2.0  # after which no further image is decoded
LONG = 50e6  # bytes of annotations that take longer to read than a doctor should
ASSUMED_CLASSES = {"coco": 2.9, "sample": 1.5}  # of an image, where no labels are read
AGREEING = 0.9  # share of the classes in masks that the image labels have, below which they are worth a look


@dataclass(frozen=True)
class Facts:
    """What the size of a run's results depends on.

    Attributes:
        images: Number of images by split.
        sizes: Height and width of some images.
        classes: Mean number of classes of a training image.
        mapped: Of ``sizes`` those of images whose class maps are taken.
    """

    images: Mapping[str, int]
    sizes: Sequence[tuple[int, int]]
    classes: float
    mapped: Sequence[tuple[int, int]] = ()


def check_dataset(
    name: str, settings: Mapping[str, Any], source: Path, wanted: bool
) -> tuple[list[Verdict], Facts | None]:
    """Check a data set without reading all of it.

    Args:
        name: Name of the data set.
        settings: Its entry in the config.
        source: Folder that a rule makes or will make for it.
        wanted: Whether its absence is an error.

    Returns:
        Verdicts, and what is known about its size; None if it cannot be listed.
    """
    if settings["kind"] == "sample":
        return [Verdict(OK, f"{name}: files", "generated, needs nothing")], _generated(settings)
    root = _root(settings)
    if not wanted and not root.exists():
        fix = "get it if you want it; README, Data, says from where"
        return [Verdict(WARNING, f"{name}: files", f"not here: {root}", fix)], None
    try:
        if settings["kind"] == "coco" and _length(settings) > LONG:
            return _check_unread(name, settings)
        return _check_listed(name, settings, source)
    except (ArtefactError, OSError) as error:
        return [Verdict(ERROR, f"{name}: files", str(error), "fix it and ask again")], None


def _root(settings: Mapping[str, Any]) -> Path:
    root = Path(settings.get("root") or ".")
    return root / settings["images"] if settings["kind"] == "folder" else root


def _generated(settings: Mapping[str, Any]) -> Facts:
    low, high = settings["side"]
    sides = (low, (low + high) // 2, high)
    images = {split: settings.get(split, 0) for split in SPLITS}
    return Facts(images, [(height, width) for height in sides for width in sides], ASSUMED_CLASSES["sample"])


def _check_listed(name: str, settings: Mapping[str, Any], source: Path) -> tuple[list[Verdict], Facts | None]:
    """All lists and labels, the names of all files, and some files whole."""
    listing = LISTINGS[settings["kind"]](settings, source)
    findings = check_listing(listing, bool(settings.get("allow_empty_classes")), settings.get("counts") or {})
    if not listing.entries:
        return list(_faults(name, findings)), None
    if (settings["kind"] == "coco" or settings.get("masks_values")) and not source.exists():  # yet to be made
        listing = replace(listing, entries=tuple(replace(entry, mask=None) for entry in listing.entries))
    some, examined = _sample(listing, settings.get("largest_image", PIXELS))
    findings += _absent(listing.entries)
    findings += [found for one in examined for found in one.findings if "missing" not in found.kind]
    findings += check_masks(some, examined)
    facts = _facts(listing, some, examined)
    said = {
        "files": Verdict(OK, "", f"folders and lists are there: {_root(settings)}"),
        "counts": _check_counts(settings, facts.images, _counts(facts.images)),
        "image labels": Verdict(
            OK, "", f"{len(listing.classes)} classes, {facts.classes:.2f} of them a training image"
        ),
        "images": Verdict(OK, "", f"{len(listing.entries)} are there, {len(examined)} of them decoded"),
        "masks": Verdict(OK, "", _said_of_masks(listing, some)),
        "class order": _check_agreement(some.entries, examined),
    }
    remarked = [*listing.remarks, *of_files(some.entries, examined), *ubiquitous(listing)]
    worth = [Verdict(WARNING, f"{name}: worth a look", *remark) for remark in remarked]
    verdicts = _merged(name, findings, said)
    return [*verdicts, *worth, *_check_examples(name, settings, listing)], facts


def _check_examples(name: str, settings: Mapping[str, Any], listing: Listing) -> Iterator[Verdict]:
    """An error where the pictures to be drawn name images that are not there."""
    known = {entry.id for entry in listing.entries}
    asked = (settings.get("examples") or {}).get("images", [])
    if absent := [one for one in asked if one not in known]:
        found = f"examples.images: expected ids such as {min(known)}, found {listed(absent)}"
        yield Verdict(ERROR, f"{name}: examples", found, "correct them in the config")


def _merged(name: str, findings: Iterable[Finding], said: Mapping[str, Verdict]) -> Iterator[Verdict]:
    """A line of :data:`LINES` each: its error, or what is said where there is none."""
    faulty = {verdict.subject: verdict for verdict in _faults(name, findings)}
    for line, verdict in said.items():
        subject = f"{name}: {line}"
        yield faulty.pop(subject, verdict._replace(subject=subject))
    yield from faulty.values()


def _faults(name: str, findings: Iterable[Finding]) -> Iterator[Verdict]:
    """An error for each line that has findings: their number, the first of them and its fix."""
    by_line: dict[str, list[Finding]] = {}
    for finding in findings:
        line = next(line for line, kinds in LINES.items() if finding.kind in kinds)
        by_line.setdefault(line, []).append(finding)
    for line, found in by_line.items():
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        yield Verdict(ERROR, f"{name}: {line}", f"{first.kind}: {first.detail}{more}", REMEDIES[first.kind])


def _check_counts(settings: Mapping[str, Any], images: Mapping[str, int], text: str) -> Verdict:
    """A warning where an edition that states no counts is not the published one."""
    stated = settings.get("counts") or settings.get("splits")
    published = {} if stated else PUBLISHED.get(settings["kind"], {})
    if all(images[split] == count for split, count in published.items()):
        return Verdict(OK, "", text)
    fix = "if the data set is meant to be whole, get the rest; otherwise nothing need be done"
    return Verdict(WARNING, "", f"{text}; the published edition has {_counts(published)}", fix)


def _counts(images: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {images[split]}" for split in SPLITS if images.get(split))


def _absent(entries: Iterable[Entry]) -> list[Finding]:
    """Findings for images and masks that their folders do not list; reads each folder once."""
    names: dict[Path, set[str]] = {}

    def there(path: Path) -> bool:
        if path.parent not in names:
            names[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
        return path.name in names[path.parent]

    findings = []
    for entry in entries:
        if not there(entry.image):
            findings.append(Finding("missing image", f"{entry.id!r}: {entry.image}"))
        if entry.mask is not None and not there(entry.mask):
            findings.append(Finding("missing mask", f"{entry.id!r}: {entry.mask}"))
    return findings


def _sample(listing: Listing, limit: int) -> tuple[Listing, list[Examined]]:
    """Decode some images and masks, always the same ones, until the time is over."""
    chosen = []
    for masked, count in SAMPLED.items():
        group = [entry for entry in listing.entries if (entry.mask is not None) == masked]
        chosen += random.Random(0).sample(group, min(count, len(group)))
    random.Random(0).shuffle(chosen)
    end = time.monotonic() + SECONDS
    examined: list[Examined] = []
    for entry in chosen:
        if time.monotonic() < end:
            examined.append(examine(entry, len(listing.classes), limit))
    return replace(listing, entries=tuple(chosen[: len(examined)])), examined


def _facts(listing: Listing, some: Listing, examined: Sequence[Examined]) -> Facts:
    images = {split: sum(split in entry.splits for entry in listing.entries) for split in SPLITS}
    classes = [len(entry.classes) for entry in listing.entries if "train" in entry.splits]
    sizes = [(one.height, one.width) for one in examined if one.height]
    mean = sum(classes) / max(1, len(classes))
    return Facts(images, sizes, mean, mapped_sizes(some.entries, examined))


def _said_of_masks(listing: Listing, some: Listing) -> str:
    masks = sum(entry.mask is not None for entry in listing.entries)
    if not masks:
        return "none: nothing can be scored, or they are yet to be rendered"
    decoded = sum(entry.mask is not None for entry in some.entries)
    return f"{masks} are there, {decoded} of them decoded: 0..{len(listing.classes)} and {VOID}"


def _check_agreement(entries: Iterable[Entry], examined: Iterable[Examined]) -> Verdict:
    """How many of the classes that masks show are among the image's labels."""
    pairs = [
        index in entry.classes
        for entry, one in zip(entries, examined, strict=True)
        if entry.classes
        for index in one.shown
    ]
    if not pairs:
        return Verdict(OK, "", "no mask beside image labels to compare")
    text = f"{sum(pairs)} of {len(pairs)} classes in masks are image labels"
    if sum(pairs) >= AGREEING * len(pairs):
        return Verdict(OK, "", text)
    return Verdict(WARNING, "", text, "labels may leave out what masks show; otherwise compare both")


def _length(settings: Mapping[str, Any]) -> int:
    paths = [Path(settings["root"], files["annotations"]) for files in coco_splits(settings).values()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _check_unread(name: str, settings: Mapping[str, Any]) -> tuple[list[Verdict], Facts | None]:
    """COCO's own annotations take half a minute to read: their end, the folders and some images must do."""
    root, splits = Path(settings["root"]), coco_splits(settings)
    findings = check_paths(settings)
    if findings:
        return list(_faults(name, findings)), None
    for files in splits.values():
        if not _ends_whole(root / files["annotations"]):
            path = root / files["annotations"]
            findings.append(Finding("bad annotations", f"{path}: expected '}}' at its end: it was cut"))
    folders = {split: _images(root / files["images"]) for split, files in splits.items()}
    entries = [
        Entry(path.stem, path, None, (), (split,)) for split, paths in folders.items() for path in paths
    ]
    _, examined = _sample(Listing(entries=tuple(entries)), settings.get("largest_image", PIXELS))
    findings += [finding for one in examined for finding in one.findings]
    counted = {split: len(folders.get(split, [])) for split in SPLITS}
    sizes = [(one.height, one.width) for one in examined if one.height]
    facts = Facts(counted | {"seed": counted["train"]}, sizes, ASSUMED_CLASSES["coco"])
    said = {
        "files": Verdict(OK, "", f"folders and annotations are there: {root}"),
        "counts": _check_counts(settings, counted, f"files in the folders: {_counts(counted)}"),
        "image labels": Verdict(OK, "", "in the annotations, which prepare_manifest reads"),
        "images": Verdict(OK, "", f"{len(entries)} are there, {len(examined)} of them decoded"),
    }
    return list(_merged(name, findings, said)), facts


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 100))
        return file.read().rstrip().endswith(b"}")


def _images(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    return [folder / name for name in sorted(names) if Path(name).suffix.lower() in EXTENSIONS]
