"""Finds the files that ids mean, however the ids are written."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePosixPath

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


class ImageIndex:
    """The images below a folder, by id with or without extension.

    Names are compared in Unicode's composed form, because file systems and editors disagree about it.
    Files whose names begin with a dot are left out.
    """

    def __init__(self, folder: Path) -> None:
        """Read the names of all images below ``folder``."""
        self.folder = folder
        self._files: dict[str, str] = {}
        self._stems: dict[str, list[str]] = {}
        for name in _image_names(folder):
            self._files[_composed(name)] = name
            self._stems.setdefault(_composed(_stem(name)), []).append(name)

    def ids(self) -> list[str]:
        """Ids of all images, sorted."""
        return sorted(self.id(name) for name in self._files.values())

    def names(self) -> list[str]:
        """Paths of all images relative to the folder, sorted."""
        return sorted(self._files.values())

    def find(self, written: str) -> list[str]:
        """Paths, relative to the folder, that an id may mean: one, unless it is missing or ambiguous."""
        key = _composed(str(PurePosixPath(written)))
        return [self._files[key]] if key in self._files else self._stems.get(key, [])

    def id(self, name: str) -> str:
        """The id of a file: its relative path, without the extension where that is enough to tell it."""
        stem = _composed(_stem(name))
        return stem if len(self._stems[stem]) == 1 else _composed(name)


def _image_names(folder: Path) -> list[str]:
    return sorted(
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if Path(name).suffix.lower() in EXTENSIONS and not name.startswith(".")
    )


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
