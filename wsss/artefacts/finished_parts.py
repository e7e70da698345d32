"""Parts of an artefact to come: what a stage has finished so far, each whole or absent, and joining them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.artefacts import tensor_file
from wsss.artefacts.files import ArtefactError, PathLike, atomic_file, atomic_folder, naming
from wsss.artefacts.formats import (
    Values,
    label_path,
    label_record,
    read_label,
    write_label_index,
    write_stored,
)

if TYPE_CHECKING:
    from wsss.artefacts.tensor_file import Array

PNG_END = b"IEND\xaeB`\x82"  # what decoding does not look at


def write_part(path: PathLike, tensors: Mapping[str, Array]) -> None:
    """Keep some tensors of an artefact to come."""
    with atomic_file(path, tidy=False) as temporary:
        tensor_file.write(temporary, tensor_file.from_memory(tensors), {})


def has_part(path: PathLike) -> bool:
    """Whether some tensors were kept, and are as long as they were written."""
    try:
        tensor_file.from_file(Path(path))
    except (OSError, ValueError):
        return False
    return True


def join_tensors(path: PathLike, kind: str, parts: Iterable[Path], params: Values, inputs: Values) -> None:
    """Write what ``write_tensors`` would of the tensors of all parts, without holding them in memory.

    Args:
        path: The artefact.
        kind: Its form.
        parts: Files by :func:`write_part`.
        params: The parameters that made it.
        inputs: The inputs' digests, by name.
    """
    with naming(path):
        stored = {name: tensor for part in parts for name, tensor in tensor_file.from_file(part).items()}
    write_stored(path, kind, stored, params, inputs)


def has_label(folder: PathLike, image_id: str, size: tuple[int, int]) -> bool:
    """Whether a label map of an image of size (H, W) was kept, and is whole."""
    try:
        read_label(folder, image_id, size)
        return label_path(folder, image_id).read_bytes().endswith(PNG_END)
    except (ArtefactError, FileNotFoundError):
        return False


def join_labels(
    folder: PathLike,
    index: PathLike,
    parts: PathLike,
    ids: Sequence[str],
    params: Values,
    inputs: Values,
) -> None:
    """Write what ``write_labels`` would of label maps that lie elsewhere, without a second copy of them.

    Args:
        folder: The artefact.
        index: Its index.
        parts: Folder that holds the label maps by :func:`~wsss.artefacts.formats.label_path`, and perhaps
            others.
        ids: The images, in order.
        params: The parameters that made it.
        inputs: The inputs' digests, by name.
    """
    with atomic_folder(folder) as temporary:
        for image_id in ids:
            _link(label_path(parts, image_id), label_path(temporary, image_id))
        records = [label_record(temporary, image_id) for image_id in ids]
    write_label_index(index, records, params, inputs)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # some file systems know no links
        shutil.copyfile(source, target)
