"""What is exported: label maps of a run or of a prediction, the names of their labels, and their pictures."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import read_label_index, read_manifest
from wsss.data.image_index import ImageIndex
from wsss.methods.void import VOID

SHARD = re.compile(r"(\d+)of(\d+)")
LEGEND, MANIFEST = "legend.csv", "manifest.jsonl"
MODES = ("P", "L", "1")  # Pillow's of a label map; overlays are RGB


@dataclass(frozen=True)
class Item:
    """A label map to export.

    Attributes:
        id: The image's id, which may hold slashes.
        folder: Where the label map ``ID.png`` lies.
        size: (H, W) as the manifest has it; None where nothing says it.
        picture: The image's file; None where it is unknown.
        name: The picture's path below ``Source.root``, with slashes; empty where it is unknown.
    """

    id: str
    folder: Path
    size: tuple[int, int] | None = None
    picture: Path | None = None
    name: str = ""


@dataclass(frozen=True)
class Source:
    """Label maps and what they mean.

    Attributes:
        folder: As the user gave it.
        names: Class name of each foreground label, ascending; 0 is background and 255 void.
        items: The label maps.
        subset: ``train``, ``val`` or ``test``; ``default`` where nothing says it.
        root: The folder below which the pictures lie; None where they are unknown.
        left_out: PNGs of the folder that are no label maps, such as overlays.
    """

    folder: Path
    names: Mapping[int, str]
    items: Sequence[Item]
    subset: str = "default"
    root: Path | None = None
    left_out: Sequence[Path] = ()


def open_source(folder: Path, manifest: Path | None = None, images: Path | None = None) -> Source:
    """List the label maps of a folder; their pixels are not read yet.

    Args:
        folder: Of a run, ``.../pseudo`` or ``.../masks`` with a folder and an index per shard; or of a
            prediction, with PNGs and ``legend.csv``.
        manifest: The run's data set; None: the ``manifest.jsonl`` of the nearest folder above.
        images: Where the pictures lie; None: where the manifest says, or unknown.

    Raises:
        ArtefactError: If the folder is neither, holds nothing, lacks a shard, or a picture is not found.
    """
    if not folder.is_dir():
        raise ArtefactError(f"{folder}: no such folder; give a folder of label maps")
    if (folder / LEGEND).is_file():
        source = _predicted(folder)
    elif any(SHARD.fullmatch(path.name) for path in folder.iterdir() if path.is_dir()):
        source = _of_a_run(folder, manifest or _manifest_above(folder))
    else:
        raise ArtefactError(
            f"{folder}: expected a folder of a run, with parts such as 000of008 in it (…/pseudo, …/masks), "
            f"or one that `wsss predict` wrote, with {LEGEND} in it; found neither"
        )
    if not source.items:
        raise ArtefactError(f"{folder}: expected label maps, found none")
    return _named(_found_in(source, images) if images else source, images)


# --------------------------------------------------------------------------------------------------- a run


def _manifest_above(folder: Path) -> Path:
    for parent in folder.resolve().parents:
        if (parent / MANIFEST).is_file():
            return parent / MANIFEST
    raise ArtefactError(f"{folder}: no {MANIFEST} in any folder above it; give its path by --manifest")


def _of_a_run(folder: Path, manifest: Path) -> Source:
    data = read_manifest(manifest)
    records = {record.id: record for record in data.records}
    indexes = {part: read_label_index(part.with_name(f"{part.name}.jsonl")) for part in _parts(folder)}
    folders = {name: part for part, index in indexes.items() for name in index.ids}
    if strange := sorted(folders.keys() - records.keys()):
        raise ArtefactError(
            f"{folder}: holds {strange[0]!r}, which {manifest} does not; give its own data set by --manifest"
        )
    items = [
        Item(name, folders[name], (record.height, record.width), _beside_the_run(manifest, record.image))
        for name, record in records.items()
        if name in folders
    ]
    split = next(iter(indexes.values())).params.get("split", "train")  # pseudo labels are of `train` alone
    return Source(folder, dict(enumerate(data.classes, start=1)), items, subset=split)


def _parts(folder: Path) -> list[Path]:
    """The folders of all shards; none may be missing."""
    found = sorted(path for path in folder.iterdir() if path.is_dir() and SHARD.fullmatch(path.name))
    counts = {path.name.partition("of")[2] for path in found}
    wanted = [f"{number:03d}of{count}" for count in counts for number in range(int(count))]
    missing = [name for name in wanted if not _is_whole(folder / name)]
    if len(counts) > 1 or missing:
        said = f"parts of {' and of '.join(sorted(counts))}" if len(counts) > 1 else f"no {missing[0]}"
        raise ArtefactError(
            f"{folder}: expected all parts of one run, found {said}; let Snakemake make them, or remove "
            "those of a number of shards that the config no longer has"
        )
    return found


def _is_whole(part: Path) -> bool:
    return part.is_dir() and part.with_name(f"{part.name}.jsonl").is_file()


def _beside_the_run(manifest: Path, image: str) -> Path:
    """A picture's file: a manifest names it from where Snakemake runs, beside ``results/NAME/``."""
    beside = manifest.resolve().parent.parent.parent / image
    return beside if beside.exists() else Path(image).absolute()


# -------------------------------------------------------------------------------------------- a prediction


def _predicted(folder: Path) -> Source:
    found = sorted(path for path in folder.rglob("*.png") if not path.name.startswith("."))
    maps = [path for path in found if _mode(path) in MODES]
    items = [Item(path.relative_to(folder).with_suffix("").as_posix(), folder) for path in maps]
    return Source(folder, read_legend(folder / LEGEND), items, left_out=sorted({*found} - {*maps}))


def _mode(path: Path) -> str:
    try:
        with Image.open(path) as image:
            return image.mode
    except OSError as error:
        raise ArtefactError(f"{path}: not an image ({error}); remove it and predict again") from error


def read_legend(path: Path) -> dict[int, str]:
    """Class name of each foreground label of a ``legend.csv``, ascending.

    Raises:
        ArtefactError: If it lacks the columns ``label`` and ``class``, or a label is no number of 0 to 255,
            or occurs twice.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"label", "class"} <= rows[0].keys():
        raise ArtefactError(f"{path}: expected the columns label and class and a row a label; predict again")
    labels = [row["label"] for row in rows]
    wrong = [label for label in labels if not str(label).isdecimal() or int(label) > VOID]
    if wrong or len({*map(int, labels)}) < len(labels):
        raise ArtefactError(
            f"{path}: expected each label once, a number from 0 to 255, found {', '.join(map(str, labels))}"
        )
    named = {int(row["label"]): str(row["class"]) for row in rows}
    return {label: named[label] for label in sorted(named) if 0 < label < VOID}


# ------------------------------------------------------------------------------------------------ pictures


def _found_in(source: Source, images: Path) -> Source:
    """The source with pictures that lie below a folder, found by the ids."""
    if not images.is_dir():
        raise ArtefactError(f"{images}: no such folder; --images is the folder of the pictures")
    index = ImageIndex(images)
    return replace(source, items=[_with_picture(item, index) for item in source.items])


def _with_picture(item: Item, index: ImageIndex) -> Item:
    files = index.find(item.id)
    if len(files) != 1:
        found = f"{len(files)} of them ({', '.join(files[:3])})" if files else "none"
        raise ArtefactError(f"{index.folder}: expected one picture of {item.id!r}, found {found}")
    return replace(item, picture=index.folder / files[0])


def _named(source: Source, images: Path | None) -> Source:
    """The source with its pictures' names below their common folder, or below the given one."""
    pictures = [item.picture for item in source.items if item.picture]
    if len(pictures) < len(source.items):
        return source
    root = images or Path(os.path.commonpath([picture.parent for picture in pictures]))
    items = [replace(item, name=_below(root, item.picture)) for item in source.items]
    return replace(source, items=items, root=root)


def _below(root: Path, picture: Path | None) -> str:
    return Path(os.path.relpath(picture or root, root)).as_posix()


def check_names(source: Source, reserved: Collection[str], forbidden: str = "") -> None:
    """Refuse class names that a form cannot tell apart or cannot write.

    Args:
        source: The classes.
        reserved: Names that the form has for itself.
        forbidden: Characters that a name may not hold.

    Raises:
        ArtefactError: If a name is reserved, occurs twice or holds a forbidden character.
    """
    names = list(source.names.values())
    for name in names:
        if names.count(name) > 1 or name in reserved:
            why = "occurs twice" if names.count(name) > 1 else "has a meaning of its own there"
            raise ArtefactError(f"{source.folder}: the class {name!r} {why}; rename it")
        if held := sorted({*name} & {*forbidden}):
            raise ArtefactError(
                f"{source.folder}: the class {name!r} holds {held[0]!r}, which that form has between its "
                "fields; rename the class, or export to coco"
            )
