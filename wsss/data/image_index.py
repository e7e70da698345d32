"""Finds the files that ids mean, however the ids are written."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

JPEG = {".jpg", ".jpeg", ".jpe", ".jfif"}
READ = JPEG | {".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".ppm", ".pgm"}
UNREAD = {
    ".heic",
    ".heif",
    ".jxl",
    ".dng",
}  # pictures of cameras that Pillow does not read: found, then refused
EXTENSIONS = READ | UNREAD
NEAREST = 20  # ids whose nearest name is looked for; each costs a comparison with all names


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
        self._loose: dict[str, list[str]] = {}
        self._asked = 0
        self.respelt: dict[str, str] = {}  # ids that :meth:`meant` found, and the file of each
        for name in _image_names(folder):
            self._files[_composed(name)] = name
            self._stems.setdefault(_composed(_stem(name)), []).append(name)
            self._loose.setdefault(_loosely(_stem(name)), []).append(name)

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

    def meant(self, written: str) -> list[str]:
        """As :meth:`find` where that finds none, of an id that other programs have changed.

        Capitals, backslashes, another extension, the folder's own name before it, and zeros that a
        spreadsheet took from a number do not count.
        """
        path = PurePosixPath(written.replace("\\", "/"))
        inner = PurePosixPath(*path.parts[1:]) if path.parts[:1] == (self.folder.name,) else path
        spellings = dict.fromkeys(spelling for one in (path, inner) for spelling in _spellings(one))
        found = next((self._loose[key] for key in spellings if key in self._loose), [])
        if len(found) == 1:
            self.respelt[written] = found[0]
        return found

    def nearest(self, written: str) -> str | None:
        """The name that is most like an id, of the first :data:`NEAREST` that are asked for."""
        self._asked += 1
        if self._asked > NEAREST:
            return None
        return next(iter(difflib.get_close_matches(written, self._files, 1)), None)

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


def _spellings(path: PurePosixPath) -> Iterator[str]:
    yield _loosely(str(path))
    if path.suffix.lower() in EXTENSIONS:
        yield _loosely(_stem(str(path)))


def _loosely(name: str) -> str:
    """A name without extension in small letters, and without leading zeros if it is a number."""
    path = PurePosixPath(_composed(name).casefold())
    return str(path.with_name(path.name.lstrip("0") or "0")) if path.name.isdecimal() else str(path)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
