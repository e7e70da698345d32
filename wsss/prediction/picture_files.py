"""Which pictures are meant: files, folders, patterns and lists, each with the name of its result."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from wsss.artefacts.files import ArtefactError
from wsss.data.image_index import EXTENSIONS

STANDARD_INPUT = "-"


class PictureFile(NamedTuple):
    """A picture, and the name of its result: its own without ending, below the folder that was given."""

    path: Path
    name: str


def picture_files(arguments: Sequence[str], lines: Iterable[str] = ()) -> list[PictureFile]:
    """Find the pictures.

    Args:
        arguments: Files; folders, searched to all depths; patterns with ``*``, for shells that leave them
            alone; ``-`` for ``lines``.
        lines: Such arguments, one a line.

    Returns:
        Each once, in the order of the arguments, those of a folder by name.

    Raises:
        ArtefactError: If an argument is no picture, or two pictures would give one result.
    """
    given = [
        part
        for argument in arguments
        for part in (_read(lines) if argument == STANDARD_INPUT else [argument])
    ]
    found = dict.fromkeys(file for argument in given for file in _found(argument))
    if not found:
        raise ArtefactError(f"no picture among {', '.join(given) or 'nothing'}: expected {_endings()}")
    _check_names(list(found))
    return list(found)


def _read(lines: Iterable[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in lines if line.strip()]


def _found(argument: str) -> list[PictureFile]:
    path = Path(argument)
    if path.is_dir():
        return [
            PictureFile(file, _stem(file.relative_to(path)))
            for file in sorted(path.rglob("*"))
            if _is_picture(file)
        ]
    if path.is_file():
        return [PictureFile(path, path.stem)]
    matches = sorted(glob.glob(argument, recursive=True))
    if not matches:
        raise ArtefactError(f"{argument}: expected a picture, a folder or a pattern, found nothing there")
    return [file for match in matches for file in _found(match)]


def _is_picture(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def _stem(path: Path) -> str:
    return path.with_suffix("").as_posix()


def _check_names(files: Sequence[PictureFile]) -> None:
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(file.name, file.path)
        if other != file.path:
            raise ArtefactError(
                f"{file.path} and {other} would both become {file.name}.png; give their common folder, "
                "or run them apart"
            )


def _endings() -> str:
    return "files that end in " + ", ".join(sorted(EXTENSIONS))
