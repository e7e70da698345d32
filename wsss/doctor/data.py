"""A data set's lists as a whole, and a sample of its files, with the checks of ``prepare_manifest``."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from wsss.artefacts.files import ArtefactError
from wsss.config.datasets import CocoData, Data, FolderData, SampleData
from wsss.config.systems import Config
from wsss.config.views import excesses, largest_views
from wsss.data.checks import REMEDIES, Examined, check_listing, examine, mapped_sizes, pixel_limit
from wsss.data.class_numbers import check_masks
from wsss.data.coco import check_paths, coco_splits
from wsss.data.image_index import EXTENSIONS
from wsss.data.listings import list_images
from wsss.data.records import Entry, Finding, Listing, Remark
from wsss.data.remarks import of_files, ubiquitous
from wsss.data.working_size import working_size
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, listed

SPLITS = ("train", "masked", "val", "test")
SAMPLED = {True: 96, False: 32}  # images decoded, of those with a mask and of those without
SECONDS = 2.0  # after which no further image is decoded
LONG = 50e6  # bytes of annotations that take longer to read than a doctor should
ASSUMED_CLASSES = {"coco": 2.9, "sample": 1.5}  # of an image, where no labels are read
AGREEING = 0.9  # share of the classes in masks that the image labels have, below which they are worth a look


class Facts(NamedTuple):
    """What the size of a run's results depends on."""

    images: Mapping[str, int]  # by split
    sizes: Sequence[tuple[int, int]]  # height and width of some images
    classes: float  # of a training image, on average
    mapped: Sequence[tuple[int, int]] = ()  # of the sizes those of images whose class maps are taken


def check_dataset(
    name: str, settings: Data, source: Path, wanted: bool, examples: Sequence[str] = ()
) -> tuple[list[Verdict], Facts | None]:
    """Check a data set without reading all of it.

    Args:
        name: Name of the data set.
        settings: What defines its images and labels.
        source: Folder that a rule makes or will make for it.
        wanted: Whether its absence is an error.
        examples: Ids of images to be drawn.

    Returns:
        Verdicts, and what is known about its size; None if it cannot be listed.
    """
    subject = f"{name}: data"
    if isinstance(settings, SampleData):
        return [Verdict(OK, subject, "generated, needs nothing")], _generated(settings)
    root = Path(settings.root, settings.images if isinstance(settings, FolderData) else "")
    if not wanted and not root.exists():
        fix = "get it if you want it; README, Data, says from where"
        return [Verdict(WARNING, subject, f"not here: {root}", fix)], None
    try:
        return _check(name, settings, source, examples)
    except (ArtefactError, OSError) as error:
        return [Verdict(ERROR, subject, str(error), "fix it and ask again")], None


def check_views(config: Config, facts: Mapping[str, Facts]) -> list[Verdict]:
    """An error for each data set with images whose views ``prepare_manifest`` refuses, and why.

    Args:
        config: The whole configuration.
        facts: What is known of the data sets to be used, by name.
    """
    return [
        Verdict(ERROR, f"{name}: views", *excess)
        for name, known in facts.items()
        for excess in excesses(known.mapped, largest_views(config, config["datasets"][name]))
    ]


def _generated(settings: SampleData) -> Facts:
    low, high = settings.side
    sides = (low, (low + high) // 2, high)
    images = {"train": settings.train, "val": settings.val, "test": settings.test}
    return Facts(images, [(height, width) for height in sides for width in sides], ASSUMED_CLASSES["sample"])


def _check(
    name: str, settings: Data, source: Path, examples: Sequence[str]
) -> tuple[list[Verdict], Facts | None]:
    """All lists and labels, the names of all files, and some files whole."""
    listing, findings = _listed(settings, source)
    if not listing.entries:
        return list(_faults(name, findings)), None
    some, examined = _sample(listing, pixel_limit(settings))
    findings += _absent(listing.entries)
    findings += [found for one in examined for found in one.findings if "missing" not in found.kind]
    findings += check_masks(some, examined)
    facts = _facts(listing, some, examined, settings)
    fine = [] if findings else [Verdict(OK, f"{name}: data", _said(listing, some, facts))]
    remarks = [*listing.remarks, *of_files(some.entries, examined), *ubiquitous(listing)]
    remarks += _disagreement(some.entries, examined)
    worth = [Verdict(WARNING, f"{name}: worth a look", *remark) for remark in remarks]
    return [*fine, *_faults(name, findings), *worth, *_check_examples(name, examples, listing)], facts


def _listed(settings: Data, source: Path) -> tuple[Listing, list[Finding]]:
    """The images, without masks where a rule is yet to make these, and what is wrong with the lists."""
    if isinstance(settings, CocoData) and _length(settings) > LONG:
        listing = _glance(settings)
        return listing, [*listing.findings]
    listing = list_images(settings, source)
    findings = check_listing(listing, settings)
    makes_masks = isinstance(settings, CocoData) or (
        isinstance(settings, FolderData) and settings.masks_values
    )
    if makes_masks and not source.exists():
        listing = replace(listing, entries=tuple(replace(entry, mask=None) for entry in listing.entries))
    return listing, findings


def _said(listing: Listing, some: Listing, facts: Facts) -> str:
    """What was found in a data set without faults."""
    counts = ", ".join(f"{split} {count}" for split, count in facts.images.items() if count)
    classes = f"{len(listing.classes)} classes, {facts.classes:.2f} of them a training image"
    masks, decoded = (sum(entry.mask is not None for entry in one.entries) for one in (listing, some))
    masked = f"{masks} masks" if masks else "no masks: nothing can be scored, or they are yet to be rendered"
    shown = f"{len(some.entries)} images decoded, {decoded} of them with masks"
    return "; ".join([counts, classes if listing.classes else "labels not read", masked, shown])


def _faults(name: str, findings: Iterable[Finding]) -> Iterator[Verdict]:
    """An error for each kind of finding: the first of them, their number and the fix."""
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding.detail)
    for kind, (first, *others) in kinds.items():
        more = f" (and {len(others)} more)" if others else ""
        yield Verdict(ERROR, f"{name}: {kind}", f"{first}{more}", REMEDIES[kind])


def _check_examples(name: str, asked: Sequence[str], listing: Listing) -> Iterator[Verdict]:
    """An error where the pictures to be drawn name images that are not there."""
    known = {entry.id for entry in listing.entries}
    if absent := [one for one in asked if one not in known]:
        found = f"examples.images: expected ids such as {min(known)}, found {listed(absent)}"
        yield Verdict(ERROR, f"{name}: examples", found, "correct them in the config")


def _absent(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Findings for images and masks that their folders do not list; reads each folder once."""
    names: dict[Path, set[str]] = {}
    for entry in entries:
        for kind, path in (("missing image", entry.image), ("missing mask", entry.mask)):
            if path is None:
                continue
            if path.parent not in names:
                names[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
            if path.name not in names[path.parent]:
                yield Finding(kind, f"{entry.id!r}: {path}")


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


def _facts(listing: Listing, some: Listing, examined: Sequence[Examined], settings: Data) -> Facts:
    images = {split: sum(split in entry.splits for entry in listing.entries) for split in SPLITS}
    classes = [len(entry.classes) for entry in listing.entries if "train" in entry.splits]
    mean = sum(classes) / max(1, len(classes)) if listing.classes else ASSUMED_CLASSES[settings.kind]
    long_side = settings.long_side if isinstance(settings, FolderData) else None
    read = partial(working_size, long_side=long_side)
    sizes = [read((one.height, one.width)) for one in examined if one.height]
    return Facts(images, sizes, mean, list(map(read, mapped_sizes(some.entries, examined))))


def _disagreement(entries: Iterable[Entry], examined: Iterable[Examined]) -> Iterator[Remark]:
    """A remark where many of the classes that masks show are not among the image's labels."""
    pairs = [(index, entry) for entry, one in zip(entries, examined, strict=True) for index in one.shown]
    agree = [index in entry.classes for index, entry in pairs if entry.classes]
    if sum(agree) < AGREEING * len(agree):
        found = f"{sum(agree)} of {len(agree)} classes in masks are image labels"
        yield Remark(found, "labels may leave out what masks show; otherwise compare both")


def _length(settings: CocoData) -> int:
    paths = [Path(settings.root, files.annotations) for files in coco_splits(settings).values()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _glance(settings: CocoData) -> Listing:
    """COCO's own annotations take half a minute to read: the folders and the files' ends must do."""
    if findings := check_paths(settings):
        return Listing(findings=tuple(findings))
    entries = []
    for split, files in coco_splits(settings).items():
        annotations, folder = Path(settings.root, files.annotations), Path(settings.root, files.images)
        if not _ends_whole(annotations):
            findings.append(
                Finding("bad annotations", f"{annotations}: expected '}}' at its end: it was cut")
            )
        splits = ("train", "masked") if split == "train" else (split,)
        paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in EXTENSIONS]
        entries += [Entry(path.stem, path, None, (), splits) for path in paths]
        if not paths:
            findings.append(Finding("empty split", f"no image is in {folder}"))
    return Listing(entries=tuple(entries), findings=tuple(findings))


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 100))
        return file.read().rstrip().endswith(b"}")
