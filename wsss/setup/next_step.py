"""The command that comes next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from wsss.config.reading import ROOT


def command(program: str, arguments: Iterable[str]) -> str:
    """A command line that works from the folder at hand, however the program was installed."""
    beside = Path(sys.executable).with_name(program)
    found = shutil.which(program)
    if found and Path(found).resolve() == beside.resolve():
        return shlex.join([program, *arguments])
    here = Path.cwd()
    return shlex.join([str(beside.relative_to(here) if beside.is_relative_to(here) else beside), *arguments])


def run_command(config: Path, asked: Iterable[str]) -> str:
    """How Snakemake is called for some targets, with a file of settings."""
    cores = len(os.sched_getaffinity(0))
    workflow = [] if Path.cwd() == ROOT else ["--snakefile", str(ROOT / "Snakefile")]
    options = [*workflow, "--cores", str(cores), "--configfile", str(config)]
    return command("snakemake", [*options, "--", *asked])
