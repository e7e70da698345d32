"""An export from start to end: image by image, whole or absent, and to be gone on with after a kill."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from wsss.artefacts.files import ArtefactError, atomic_file, atomic_folder, naming
from wsss.artefacts.formats import Labels, label_path, read_label, read_mask
from wsss.label_formats.form import Form, Job, Part, as_json
from wsss.label_formats.source import Item, Source
from wsss.methods.void import VOID
from wsss.runtime.progress import progress

ABOUT = "about.txt"  # in an exported folder: tells it from a folder that --overwrite must not remove
TITLE = "Labels exported by wsss"
FORM_VERSION = 1  # raised when parts change: those of a killed export are then made anew
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def export_labels(job: Job, form: Form, *, overwrite: bool = False) -> str:
    """Write the label maps of a source in a form; the output appears when it is whole.

    Memory does not grow with the number of images: each is a file beside the output until all are joined.
    Those that a killed export of the same has left are taken.

    Args:
        job: What to export, where to, how.
        form: The form.
        overwrite: Whether an output that is there is replaced.

    Returns:
        What people should know of the output, or nothing.

    Raises:
        ArtefactError: If the output is there, the form cannot hold the source, or a label map is damaged, has
            another size than its picture or a label without a name; it is named.
    """
    _check_output(job, form, overwrite)
    form.check(job.source)
    if form.needs_pictures and job.source.root is None:
        raise ArtefactError(
            f"{job.source.folder}: this form names each image's file, which nothing here does; say where the "
            "pictures lie by --images"
        )
    with _unfinished(job, form) as work:
        parts = [
            Part(number, item, work / f"{number:08d}{form.part_suffix}")
            for number, item in enumerate(job.source.items, start=1)
        ]
        missing = [part for part in parts if not part.path.is_file()]
        for part in progress(missing, len(missing), f"exporting to {job.out.name}"):
            content = form.part(part.item, part.number, _labels(part.item, job.source), job)
            with atomic_file(part.path, tidy=False) as temporary:
                temporary.write_bytes(content)
        return _join(job, form, parts)


def _join(job: Job, form: Form, parts: list[Part]) -> str:
    if form.suffix:
        with atomic_file(job.out) as file:
            return form.join(job, parts, file)
    with atomic_folder(job.out) as folder:
        note = form.join(job, parts, folder)
        (folder / ABOUT).write_text(f"{about(job, form)}{note}".strip() + "\n", encoding="utf-8")
        return note


def about(job: Job, form: Form) -> str:
    """What an export is of and how it reads, for people."""
    names = ", ".join(f"{label} {name}" for label, name in job.source.names.items())
    return (
        f"{TITLE}\nfrom: {job.source.folder}\nform: {form.title}\nimages: {len(job.source.items)}, "
        f"{job.source.subset}\nlabels: 0 background, {names}\nvoid ({VOID}, no label known): {form.void}\n"
    )


def _check_output(job: Job, form: Form, overwrite: bool) -> None:
    """Refuse an output that is there, or that has another kind of name or place than it should."""
    out = job.out
    if form.suffix and out.suffix != form.suffix:
        raise ArtefactError(f"{out}: expected a name that ends in {form.suffix} for {form.title}")
    if out.resolve().is_relative_to(job.source.folder.resolve()):
        raise ArtefactError(f"{out}: lies within the labels that are exported; give another --out")
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise ArtefactError(f"{out}: is there already; give another --out, or --overwrite to replace it")
    if bool(form.suffix) == out.is_dir() or (out.is_dir() and not _is_export(out)):
        raise ArtefactError(f"{out}: no export of this form, so it is not replaced; give another --out")


def _is_export(folder: Path) -> bool:
    about_file = folder / ABOUT
    return about_file.is_file() and about_file.read_text(encoding="utf-8", errors="replace").startswith(TITLE)


# ------------------------------------------------------------------------------------------- unfinished work


@contextmanager
def _unfinished(job: Job, form: Form) -> Iterator[Path]:
    """Yield the folder of the parts, named by a digest of all that shapes them; it goes in the end."""
    kept = job.out.with_name(f".{job.out.name}.{_shape(job, form)}.unfinished")
    with naming(job.out):
        kept.mkdir(parents=True, exist_ok=True)
    yield kept
    pattern = re.compile(rf"\.{re.escape(job.out.name)}\.[0-9a-f]{{16}}\.unfinished")
    for folder in kept.parent.iterdir():
        if pattern.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _shape(job: Job, form: Form) -> str:
    """A digest of the label maps, by size and date, their names and pictures, and the options."""
    found = hashlib.sha256()
    settings = [
        FORM_VERSION,
        form.title,
        str(job.out.absolute()),
        asdict(job.options),
        dict(job.source.names),
    ]
    found.update(as_json(settings).encode())
    for item in job.source.items:
        path = label_path(item.folder, item.id)
        stat = path.stat() if path.is_file() else None
        seen = [stat.st_size, stat.st_mtime_ns] if stat else None
        found.update(as_json([item.id, str(item.picture), item.name, seen]).encode())
    return found.hexdigest()[:16]


# ------------------------------------------------------------------------------------------------- reading


def _labels(item: Item, source: Source) -> Labels:
    """An image's labels (H, W), checked against their names and against the picture."""
    path = label_path(item.folder, item.id)
    if not path.is_file():
        raise ArtefactError(f"{path}: expected a label map, found none; remove its folder and run again")
    label = read_label(item.folder, item.id, item.size) if item.size else read_mask(path)
    if unnamed := sorted({*np.unique(label).tolist()} - {0, VOID, *source.names}):
        raise ArtefactError(
            f"{path}: expected the labels 0, {', '.join(map(str, source.names))} and {VOID}, found "
            f"{unnamed[0]}; make it anew, or give the data set that it is of"
        )
    if item.picture is not None and item.picture.is_file():
        _check_size(path, label, item.picture)
    return label


def _check_size(path: Path, label: Labels, picture: Path) -> None:
    """Compare with the picture as programs show it: turned as its EXIF orientation says."""
    try:
        with Image.open(picture) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation) in TURNED
            width, height = image.size[::-1] if turned else image.size
    except OSError as error:
        raise ArtefactError(f"{picture}: not an image ({error}); replace or remove it") from error
    if label.shape != (height, width):
        raise ArtefactError(
            f"{path}: expected {width}x{height} pixels as {picture} is shown, found "
            f"{label.shape[1]}x{label.shape[0]}; the pictures are others than those that were labelled"
        )
