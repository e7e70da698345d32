"""A data set of one's own: a folder of images, a table of labels, optional masks, optional split lists.

Ids are paths relative to the image folder, with or without extension. Where ``labels`` is null the image
folder has a folder a class, perhaps within one a split, and each image is of the class in whose folder it
lies. Without list files the table's column ``split`` tells train, val and test apart, and without that column
all images are train.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from wsss.config.datasets import MASKS, FolderData, Split
from wsss.data.image_index import ImageIndex
from wsss.data.label_table import LabelTable, Row, read_label_table, table_of_folders
from wsss.data.records import Entry, Finding, Listing, Remark, duplicates, missing, read_ids

HINT = "named by the data set's entry in the config (paths are relative to its root)"


class _Paths(NamedTuple):
    images: Path
    labels: Path | None
    masks: Path | None
    classes: Path | None
    splits: dict[Split, Path]


class _Members(NamedTuple):
    """Images of the data set: splits and table rows by id."""

    splits: dict[str, str]
    rows: dict[str, Row]
    findings: list[Finding]


def list_folder(settings: FolderData, source: Path | None = None) -> Listing:
    """List a data set of the kind ``folder``.

    Args:
        settings: Where its parts lie; paths are relative to ``root``, which is by default the folder that
            Snakemake runs in.
        source: Folder with the converted pictures and masks, where ``long_side`` says at which size they are
            read, or ``masks_values`` what the masks hold.

    Returns:
        Entries sorted by id, and findings.
    """
    paths = _paths(settings)
    absent = _check_paths(paths)
    if absent:
        return Listing(findings=tuple(absent))
    names, findings = read_classes(read_ids(paths.classes) if paths.classes else settings.classes or ())
    index = ImageIndex(paths.images)
    table = _table(paths, index, names)
    if any(found.kind == "bad table" for found in table.findings):
        return Listing(findings=(*findings, *table.findings))
    members = _members(paths, table, index)
    entries = _entries(members, paths, index)
    unlabelled = _without_labels(members, index, paths)
    findings = [*findings, *table.findings, *members.findings, *unlabelled]
    remarks = (*table.remarks, *_respelt(index), *_unused(entries, paths.masks))
    if source is not None and settings.is_made:
        entries = [_converted(entry, source, bool(settings.masks_values)) for entry in entries]
    return Listing(table.classes, tuple(entries), tuple(findings), remarks)


def list_sample(source: Path | None) -> Listing:
    """List the generated data set, which is a ``folder`` data set in ``source``."""
    return list_folder(FolderData(kind="folder", root=str(source or "."), masks=MASKS))


def _table(paths: _Paths, index: ImageIndex, classes: tuple[str, ...] | None) -> LabelTable:
    if paths.labels:
        return read_label_table(paths.labels, classes)
    return table_of_folders(index.folder, index.names(), classes)


def _paths(settings: FolderData) -> _Paths:
    root = Path(settings.root)
    return _Paths(
        root / settings.images,
        root / settings.labels if settings.labels else None,
        root / settings.masks if settings.masks else None,
        root / settings.classes if isinstance(settings.classes, str) else None,
        {split: root / path for split, path in settings.splits.items()},
    )


def _check_paths(paths: _Paths) -> list[Finding]:
    folders = [paths.images, *([paths.masks] if paths.masks else [])]
    files = [path for path in (paths.labels, paths.classes) if path] + [*paths.splits.values()]
    return missing(folders, files, HINT)


def read_classes(names: Sequence[str]) -> tuple[tuple[str, ...] | None, list[Finding]]:
    """Foreground class names that a config or its text file gives; none leave them to the table of labels.

    Returns:
        The names without a leading ``background``, or None; and findings.
    """
    names = names[1:] if names and names[0].lower() == "background" else names
    twice = duplicates(names, "the class list")
    return tuple(names) or None, [Finding("bad settings", f"classes: {found.detail}") for found in twice]


def _resolve(written: str, index: ImageIndex, where: str) -> tuple[str | None, list[Finding]]:
    """The id of the image that is meant, or why it cannot be told."""
    if ".." in PurePosixPath(written.replace("\\", "/")).parts or written.startswith("/") or not written:
        return None, [Finding("bad id", f"{written!r} in {where}")]
    names = index.find(written) or index.meant(written)
    if len(names) == 1:
        return index.id(names[0]), []
    if not names:
        near = f"; the nearest name is {name!r}" if (name := index.nearest(written)) else ""
        return None, [Finding("missing image", f"{written!r} in {where}: not found in {index.folder}{near}")]
    return None, [Finding("bad id", f"{written!r} in {where}: may mean {' or '.join(names)}")]


def _members(paths: _Paths, table: LabelTable, index: ImageIndex) -> _Members:
    rows, findings = _rows(paths, table, index)
    if not paths.splits:
        return _Members({name: row.split or "train" for name, row in rows.items()}, rows, findings)
    # Rows of images that no list names are no part of the data set, whatever is wrong with them.
    splits, findings = _listed(paths, index)
    return _Members(splits, rows, findings)


def _rows(paths: _Paths, table: LabelTable, index: ImageIndex) -> tuple[dict[str, Row], list[Finding]]:
    """The table's rows by the ids of their images."""
    rows: dict[str, Row] = {}
    findings: list[Finding] = []
    where = str(paths.labels or paths.images)
    for written, row in table.rows.items():
        name, found = _resolve(written, index, where)
        findings += found
        if name in rows:
            findings.append(Finding("duplicate id", f"{written!r} in {where}: image of another row"))
        elif name is not None:
            rows[name] = row
    return rows, findings


def _listed(paths: _Paths, index: ImageIndex) -> tuple[dict[str, str], list[Finding]]:
    """The split of each image that a list file names."""
    splits: dict[str, str] = {}
    findings: list[Finding] = []
    for split, path in paths.splits.items():
        for written in read_ids(path):
            name, found = _resolve(written, index, str(path))
            findings += found
            if name in splits:
                findings.append(Finding("duplicate id", f"{written!r} in {path}: already in {splits[name]}"))
            elif name is not None:
                splits[name] = split
    return splits, findings


def _entries(members: _Members, paths: _Paths, index: ImageIndex) -> list[Entry]:
    masks = ImageIndex(paths.masks) if paths.masks else None
    entries = []
    for name, split in sorted(members.splits.items()):
        image = index.find(name)[0]
        mask = _mask(name, split, masks, PurePosixPath(image).suffix)
        splits = ("train", "masked") if split == "train" and mask else (split,)
        classes = members.rows[name].classes if name in members.rows else ()
        entries.append(Entry(name, index.folder / image, mask, classes, splits))
    return entries


def _mask(name: str, split: str, masks: ImageIndex | None, suffix: str) -> Path | None:
    """Where an image's mask lies; only the split val must have masks for all its images.

    It has the whole id as its name, without the ``suffix`` of the image's file if the id has that.
    """
    if masks is None:
        return None
    found = masks.find(f"{name}.png") or masks.find(name) or masks.find(name.removesuffix(suffix))
    names = [path for path in found if path.lower().endswith(".png")]
    if names:
        return masks.folder / names[0]
    return masks.folder / f"{name}.png" if split == "val" else None


def _respelt(index: ImageIndex) -> Iterator[Remark]:
    """Of ids that are spelt otherwise than their files."""
    for written, file in islice(index.respelt.items(), 1):
        found = (
            f"{len(index.respelt)} ids are spelt otherwise than their files, such as {written!r} for {file!r}"
        )
        yield Remark(found, "nothing need be done if these are the files that are meant")


def _unused(entries: Iterable[Entry], folder: Path | None) -> Iterator[Remark]:
    """Of files in the folder of masks that are no mask of any image."""
    if folder is not None:
        used = {entry.mask for entry in entries}
        unused = [name for name in ImageIndex(folder).names() if folder / name not in used]
        for name in unused[:1]:
            found = f"{len(unused)} files in {folder} are the mask of no image of the lists, such as {name!r}"
            yield Remark(found, "a mask is a PNG that has its image's whole name")


def converted_path(source: Path, image_id: str) -> Path:
    """Where the label map of an image's mask lies in the folder that convert_pictures makes."""
    return source / "masks" / f"{image_id}.png"


def scaled_path(source: Path, image_id: str) -> Path:
    """Where a picture lies there that was too large."""
    return source / "images" / f"{image_id}.png"


def _converted(entry: Entry, source: Path, relabelled: bool) -> Entry:
    """An image and its mask as convert_pictures wrote them; what it left alone, or is missing, as named."""
    image = scaled_path(source, entry.id)
    scaled = image.is_file()
    there = entry.mask is not None and entry.mask.is_file() and (relabelled or scaled)
    return replace(
        entry,
        image=image if scaled else entry.image,
        mask=converted_path(source, entry.id) if there else entry.mask,
    )


def _without_labels(members: _Members, index: ImageIndex, paths: _Paths) -> list[Finding]:
    """Training images, or without list files any images, that the table does not name."""
    known = set(members.splits) if paths.splits else set(index.ids())
    return [
        Finding("id without labels", f"{name!r} has no row in {paths.labels or paths.images}")
        for name in sorted(known - set(members.rows))
        if members.splits.get(name, "train") == "train"
    ]
