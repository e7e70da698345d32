"""The commands and the code of the documents, run as the reader would."""

import contextlib
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.settings import ROOT
from wsss.cli import main

BLOCK = re.compile(r"(?ms)^```python\n(?P<code>.*?)^```$|^    (?P<command>wsss .+?)$")
PROGRAMS = {"wsss": "wsss.cli", "snakemake": "snakemake"}


def run_page(name: str, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run every command and every block of code of a page below ``docs/`` in this process, in their order.

    Returns:
        How many there are, and the names that the code leaves behind.
    """
    found: dict[str, Any] = {}
    blocks = list(BLOCK.finditer((ROOT / "docs" / name).read_text(encoding="utf-8")))
    with contextlib.chdir(folder), _logging_kept():
        for block in blocks:
            if command := block["command"]:
                assert main(shlex.split(command)[1:]) == 0, command
            else:
                exec(compile(block["code"], name, "exec"), found)
    return len(blocks), found


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Undo what the commands set for their own process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level


def run_line(checkout: Path, folder: Path, line: str, *options: str | Path) -> str:
    """Run a line of a shell by the code of a checkout, on the CPU; returns what it printed.

    Args:
        checkout: A copy of the project.
        folder: Where to run it.
        line: ``wsss`` or ``snakemake`` with arguments.
        options: Further ones, which stand before the targets.
    """
    program, *arguments = shlex.split(line)
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    targets = arguments[len(before) :]
    result = subprocess.run(
        [sys.executable, "-m", PROGRAMS[Path(program).name], *before, *map(str, options), *targets],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(checkout), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout
