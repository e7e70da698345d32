"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]
# Weights that the package ships are named in the config by `package:`, wherever the package lies.
PACKAGED = "package:"


class ArtefactError(ValueError):
    """A file that is missing, damaged or not what its reader expects; the message names it and the mend."""


@contextmanager
def atomic_file(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name on success and is removed on failure."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with _naming(target):
            yield temporary
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its name on success and is removed on failure."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _naming(target):
            temporary.mkdir(parents=True)
            yield temporary
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Say of any failure to write which artefact it leaves unwritten, and what to do."""
    try:
        yield
    except OSError as error:
        raise ArtefactError(
            f"{target}: cannot be written ({error.strerror or error}); free disk space or mend "
            "the permissions, then run again"
        ) from error


def digest(path: PathLike) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def readable_mode() -> int:
    """Permissions that a file opened in the usual way would get."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
