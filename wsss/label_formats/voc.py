"""A PASCAL VOC folder, and the archive of segmentation masks that CVAT takes, which is one with colours.

Both declare void, as CVAT's reader stops at a colour that ``labelmap.txt`` does not have.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import Labels, label_path, palette
from wsss.label_formats.form import Form, Job, Part, place
from wsss.label_formats.source import Item, Source, check_names
from wsss.methods.void import VOID

BACKGROUND_NAME, VOID_NAME = "background", "void"
LISTS = "ImageSets/Segmentation"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that an archive can hold: the same labels, the same bytes
RIGHTS = 0o644 << 16  # of an unpacked file


def label_map_file(source: Source) -> str:
    """``labelmap.txt``: a line a label, with its name and colour; void is declared."""
    names = {0: BACKGROUND_NAME, **source.names, VOID: VOID_NAME}
    colours = palette().tolist()
    lines = [f"{name}:{','.join(map(str, colours[label]))}::" for label, name in names.items()]
    return "\n".join(["# label:color_rgb:parts:actions", *lines]) + "\n"


def _check(source: Source) -> None:
    check_names(source, {BACKGROUND_NAME, VOID_NAME}, ":\n#")


def _indexed(item: Item, number: int, label: Labels, job: Job) -> bytes:
    image = Image.fromarray(label)
    image.putpalette(palette().tobytes())
    return _png(image)


def _coloured(item: Item, number: int, label: Labels, job: Job) -> bytes:
    return _png(Image.fromarray(palette()[label]))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _list(job: Job) -> str:
    return "".join(f"{item.id}\n" for item in job.source.items)


def _folder(job: Job, parts: Sequence[Part], target: Path) -> str:
    lists = target / LISTS / f"{job.source.subset}.txt"
    lists.parent.mkdir(parents=True)
    lists.write_text(_list(job), encoding="utf-8")
    (target / "labelmap.txt").write_text(label_map_file(job.source), encoding="utf-8")
    for part in parts:
        place(label_path(target / "SegmentationClass", part.item.id), part)
        if job.options.link_images:
            _link(target / "JPEGImages", part.item)
    return ""


def _link(folder: Path, item: Item) -> None:
    if item.picture is None or not item.picture.is_file():
        raise ArtefactError(f"{item.picture or item.id}: no such picture to link to; say where by --images")
    link = folder / f"{item.id}{item.picture.suffix}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(item.picture.resolve())


def _archive(job: Job, parts: Sequence[Part], target: Path) -> str:
    """CVAT takes each colour of ``SegmentationObject`` for an object: a class is one, as it is a region.

    Without that folder it would ask for a label ``background``.
    """
    with zipfile.ZipFile(target, "w") as archive:
        _add(archive, "labelmap.txt", label_map_file(job.source).encode())
        _add(archive, f"{LISTS}/{job.source.subset}.txt", _list(job).encode())
        for folder in ("SegmentationClass", "SegmentationObject"):
            for part in parts:
                _add(archive, f"{folder}/{part.item.id}.png", part.path.read_bytes())
    return ""


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = RIGHTS
    archive.writestr(entry, content)


VOC = Form(
    title="a PASCAL VOC folder: palette PNGs, a list of the images, labelmap.txt",
    part=_indexed,
    join=_folder,
    check=_check,
    suffix="",
    part_suffix=".png",
    needs_pictures=False,
    void=f"label {VOID}, declared as '{VOID_NAME}' in labelmap.txt",
    options=frozenset({"link_images"}),
)
CVAT = Form(
    title="CVAT's archive 'Segmentation mask 1.1': PNGs in colours, labelmap.txt",
    part=_coloured,
    join=_archive,
    check=_check,
    suffix=".zip",
    part_suffix=".png",
    needs_pictures=False,
    void=f"masks of '{VOID_NAME}', declared in labelmap.txt; a task needs that label where they occur",
)
