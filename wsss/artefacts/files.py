"""Files that are whole or absent: written under a temporary name, then renamed.

A temporary name tells which process of which host is writing, so that two writers of one artefact never share
one, and so that what a killed process left behind is known as such and removed at the next write.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from typing import Any, TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]
Values: TypeAlias = Mapping[str, Any]  # plain ones, as JSON holds them
Inputs: TypeAlias = Mapping[str, PathLike | Sequence[PathLike]]
# Weights that the package ships are named in the config by `package:`, wherever the package lies.
PACKAGED = "package:"
HOST = re.sub(r"[^A-Za-z0-9-]", "-", platform.node())  # without dots, which part a temporary name
# Seconds: whether a process of another host lives cannot be asked, only its files' age.
ABANDONED = 24 * 3600.0


class ArtefactError(ValueError):
    """A file that is missing, damaged or not what its reader expects; the message names it and the fix."""


class Unwritten(ArtefactError):
    """An artefact that could not be written, for a reason such as a full disk.

    Attributes:
        reason: In the words of the system.
        errno: The system's number of it; None if it gave none.
    """

    def __init__(self, target: PathLike, reason: str, errno: int | None) -> None:
        super().__init__(target, reason, errno)  # as they are: a worker process hands them to its parent
        self.reason, self.errno = reason, errno

    def __str__(self) -> str:
        target, reason, _ = self.args
        return (
            f"{target}: cannot be written ({reason}); free disk space or fix the permissions, then run again"
        )


@contextmanager
def atomic_file(path: PathLike, *, tidy: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name on success and is removed on failure.

    Args:
        path: The file to write; its folder is made.
        tidy: Look for temporaries of killed processes first. Files inside a folder that goes as a whole can
            spare the look, which reads the folder.
    """
    target = Path(path)
    temporary = _temporary(target)
    try:
        with naming(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if tidy:
                _tidy(target)
            yield temporary
            os.replace(temporary, target)
    finally:
        _remove(temporary)


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its name on success and is removed on failure.

    A folder that is already there is replaced: readers find the old one, for an instant none, or the new one.
    """
    target = Path(path)
    temporary = _temporary(target)
    try:
        with naming(target):
            temporary.mkdir(parents=True)
            _tidy(target)
            yield temporary
            _replace_folder(temporary, target)
    finally:
        _remove(temporary)


def _replace_folder(temporary: Path, target: Path) -> None:
    """Rename a folder over another, however often a second writer does the same in between."""
    while True:
        _remove_folder(target)
        try:
            os.rename(temporary, target)
            return
        except OSError as error:
            if error.errno not in (EEXIST, ENOTEMPTY):
                raise


def _remove_folder(target: Path) -> None:
    """Let a folder vanish at once, under a temporary name, before its files are removed one by one."""
    old = _temporary(target)
    with suppress(FileNotFoundError):
        os.rename(target, old)
        _remove(old)


def _remove(path: Path) -> None:
    """Remove a folder or a file, if it is there; another process may do the same."""
    with suppress(OSError):
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{HOST}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _tidy(target: Path) -> None:
    """Remove the temporaries that writers of ``target`` left behind when they were killed."""
    form = re.compile(rf"\.{re.escape(target.name)}\.([A-Za-z0-9-]*)\.(\d+)\.[0-9a-f]{{8}}\.tmp")
    for name in os.listdir(target.parent):
        found = form.fullmatch(name)
        path = target.with_name(name)
        if found and _is_abandoned(path, host=found[1], process=int(found[2])):
            _remove(path)


def _is_abandoned(path: Path, host: str, process: int) -> bool:
    if host == HOST and not _is_alive(process):
        return True
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > ABANDONED
    return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


@contextmanager
def naming(target: PathLike) -> Iterator[None]:
    """Say of any failure to write which artefact it leaves unwritten, and what to do.

    Args:
        target: The artefact; it is named instead of the files inside it, too.

    Raises:
        Unwritten: For every OSError in the block.
    """
    try:
        yield
    except Unwritten as error:
        raise Unwritten(target, error.reason, error.errno) from error
    except OSError as error:
        raise Unwritten(target, error.strerror or str(error), error.errno) from error


@contextmanager
def work_folder(artefact: PathLike, shape: Values) -> Iterator[Path]:
    """Yield the folder for what a stage must not lose if it is killed; it goes when the block has succeeded.

    Its name holds a digest of ``shape``, so that a changed configuration, input or code never resumes what
    another one began. Two processes that make the same artefact share it; the first to finish removes it.

    Args:
        artefact: What the stage makes, beside which the folder lies.
        shape: All that shapes it: settings, random seed, digests of inputs and code; plain JSON.

    Yields:
        The folder, created.
    """
    path = Path(artefact)
    name = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
    prefix = f"work-{path.stem}-"
    work = path.with_name(f"{prefix}{name}")
    with naming(path):
        work.mkdir(parents=True, exist_ok=True)
    yield work
    for folder in path.parent.glob(f"{prefix}*"):
        _tidy(folder)
        _remove_folder(folder)


def digest(path: PathLike) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
