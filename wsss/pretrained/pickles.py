"""What torch's files name inside, read without running it: a file of tensors names nothing but torch."""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PARTS = 4  # pickles at the beginning of torch's old files: a number, a version, the machine, the tensors
PLAIN = {"collections", "argparse", "_codecs", "numpy", "builtins", "__builtin__", "torch"}
MODULES = ("torch.nn.modules", "torch.optim", "torch.jit")


def foreign_object(path: Path) -> str | None:
    """The first object in a file of torch that is neither a tensor nor a plain value, by its class's name.

    What cannot be followed is let through: the reader of the tensors says more.
    """
    try:
        return next((name for name in _globals(path) if not _is_plain(name)), None)
    except (
        ValueError,
        KeyError,
        EOFError,
        OSError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        UnicodeError,
    ):
        return None


def _is_plain(name: str) -> bool:
    return name.split(".")[0] in PLAIN and not name.startswith(MODULES)


def _globals(path: Path) -> Iterator[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if not members:
                yield "an archive without torch's data.pkl"
            for member in members:
                with archive.open(member) as file:
                    yield from _named(file)
        return
    with path.open("rb") as file:
        for _ in range(PARTS):
            yield from _named(file)


def _named(file: IO[bytes]) -> Iterator[str]:
    """Module and name of what a pickle looks up."""
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif isinstance(argument, str):
            texts.append(argument)
