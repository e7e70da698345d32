"""Writing what was decided, and nothing over what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wsss.artefacts.files import ArtefactError, atomic_file


def write_new(files: Mapping[Path, str]) -> None:
    """Write text files that are not there yet.

    Raises:
        ArtefactError: If one of them exists; then none is written.
    """
    if there := [str(path) for path in files if path.exists()]:
        raise ArtefactError(f"{', '.join(there)}: already there; remove it first, or take another name")
    for path, text in files.items():
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
