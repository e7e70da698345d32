"""Bring an own data set's pictures and masks to what its settings say that they are read as, once.

With ``long_side`` larger pictures, and their masks with them, come to that size; with ``masks_values`` masks
become label maps.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import validate_call

from wsss.artefacts.decoding import read_picture
from wsss.artefacts.files import PathLike, atomic_file, atomic_folder
from wsss.artefacts.formats import Labels, read_mask, write_mask
from wsss.config.datasets import FolderData
from wsss.data.checks import MAX_CLASSES, Examined, data_error, examine
from wsss.data.folder import converted_path, list_folder, scaled_path
from wsss.data.mask_values import label_table, relabelled
from wsss.data.records import Entry, Finding
from wsss.data.remarks import of_files
from wsss.data.working_size import Size, labels_at, picture_at, working_size
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.progress import progress
from wsss.runtime.threads import thread_count

log = logging.getLogger(__name__)


class _Wanted(NamedTuple):
    folder: Path
    classes: int
    table: NDArray[np.int16] | None  # labels of the masks' values, (256,)
    long_side: int | None
    limit: int


@validate_call
def run(*, source: PathLike, settings: FolderData) -> None:
    """Write ``images/<id>.png`` of pictures that are too large, ``masks/<id>.png`` of masks that change.

    Args:
        source: Folder to write.
        settings: Where its parts lie, and as what they are read.

    Raises:
        DataError: If a picture or a mask cannot be read, they differ in size, or a mask holds a value that
            has no meaning; all of them are named.
    """
    listing, values = list_folder(settings), settings.masks_values
    if not listing.entries:
        raise data_error(settings.root, list(listing.findings))
    table, findings = label_table(values, listing.classes) if values else (None, [])
    if findings:
        raise data_error(settings.root, findings)
    with atomic_folder(source) as folder:
        wanted = _Wanted(folder, len(listing.classes), table, settings.long_side, settings.largest_image)
        results = parallel_map(partial(_convert, wanted), listing.entries, thread_count())
        done = list(progress(results, len(listing.entries), "converting pictures"))
        if found := [finding for one in done for finding in one.findings]:
            raise data_error(settings.root, found)
    _tell(listing.entries, done, wanted.long_side)


def _tell(entries: Sequence[Entry], done: Sequence[Examined], long_side: int | None) -> None:
    """Say what is odd about pictures that were made smaller; prepare_manifest says it of the others."""
    sizes = [(one.height, one.width) for one in done]
    smaller = [working_size(size, long_side) != size for size in sizes]
    for remark in of_files(compress(entries, smaller), compress(done, smaller)):
        log.warning("%s; %s", *remark)


def _convert(wanted: _Wanted, entry: Entry) -> Examined:
    """Check one picture and its mask as they are, and write what is read in their place."""
    examined = examine(entry, wanted.classes if wanted.table is None else MAX_CLASSES, wanted.limit)
    if examined.findings:
        return examined
    own = (examined.height, examined.width)
    size = working_size(own, wanted.long_side)
    if entry.mask and (size != own or wanted.table is not None):
        labels, unknown = _labels(entry.mask, wanted.table)
        if unknown:
            text = f"expected those that `masks_values` has, found {', '.join(map(str, unknown[:5]))} too"
            return examined._replace(
                findings=(Finding("mask values", f"{entry.id!r}: {entry.mask}: {text}"),)
            )
        write_mask(converted_path(wanted.folder, entry.id), labels_at(labels, size))
    if size != own:
        _write_scaled(wanted, entry, size)
    return examined


def _labels(mask: Path, table: NDArray[np.int16] | None) -> tuple[Labels, list[int]]:
    """A mask's labels, and its values that have no meaning."""
    values = read_mask(str(mask))
    return (values, []) if table is None else relabelled(values, table)


def _write_scaled(wanted: _Wanted, entry: Entry, size: Size) -> None:
    picture = picture_at(read_picture(entry.image, wanted.limit).pixels, size)
    with atomic_file(scaled_path(wanted.folder, entry.id), tidy=False) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
