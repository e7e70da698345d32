"""The sample's smallest systems run to their end once a test session, for all tests that compare with it."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("results/sample/seg_miou.json", "results/sample/examples.png")
COMPARISON = (
    "results/sample/compare.html",
    "results/sample/apc/seg_miou.json",
    "results/sample/apc/ablations.csv",
)
TIMED = ("results/sample/compare.html", "results/sample/compare.csv")  # these tell how long stages took
NO_ARTEFACTS = ("results/logs/", "results/benchmarks/", *TIMED)


class TinyRun(NamedTuple):
    """A copy of what a run reads, and the folder that it ran in; both are for reading only."""

    checkout: Path
    folder: Path


def copy_checkout(copy: Path) -> Path:
    """Copy what a run reads, so that nobody's edits reach it."""
    for name in ("wsss", "rules", "envs", "profiles", "report", "config", "tests/configs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def command(checkout: Path, folder: Path, *arguments: str | Path) -> list[str]:
    """How Snakemake is called on a checkout in a folder."""
    parts = (sys.executable, "-m", "snakemake", "--snakefile", checkout / "Snakefile", "--directory", folder)
    return [str(part) for part in (*parts, *arguments)]


def run(checkout: Path, folder: Path, *arguments: str | Path) -> str:
    """Run Snakemake on a checkout in a folder, which must succeed; returns what it printed."""
    return succeed(command(checkout, folder, *arguments), folder)


def succeed(parts: list[str], folder: Path) -> str:
    """Run a command in a folder, which must succeed; returns what it printed."""
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    result = subprocess.run(parts, cwd=folder, stdout=pipe, stderr=both, text=True, check=False)
    assert result.returncode == 0, result.stdout[-5000:]
    return result.stdout


def tiny_command(checkout: Path, folder: Path, *arguments: str | Path) -> list[str]:
    """How the smallest systems are run towards all that they can make, on one core."""
    tiny = checkout / "tests/configs/tiny.yaml"
    options = ("--cores", "1", "--configfile", tiny, *arguments, "--")
    return command(checkout, folder, *options, *TARGETS, *COMPARISON)


def session_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder for temporary files that all processes of a test session share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def session_checkout(factory: pytest.TempPathFactory) -> Path:
    """One copy of what a run reads for the whole session, for runs whose results are compared."""
    return _once(session_folder(factory) / "checkout", copy_checkout)


def tiny_run(factory: pytest.TempPathFactory) -> TinyRun:
    """The run, made by whichever process asks first; the others wait for it."""
    checkout = session_checkout(factory)
    return TinyRun(checkout, _once(session_folder(factory) / "tiny", partial(run_tiny, checkout)))


def _once(folder: Path, make: Callable[[Path], object]) -> Path:
    done = folder.with_name(f"{folder.name}.done")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(folder)
            done.touch()
    return folder


def run_tiny(checkout: Path, folder: Path) -> None:
    """Run the smallest systems in a new folder, which must succeed."""
    folder.mkdir()
    succeed(tiny_command(checkout, folder), folder)


def artefacts(folder: Path) -> dict[str, bytes]:
    """All artefacts of a run by name; logs and times are none, nor are TensorBoard's events."""
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    names = {str(path.relative_to(folder)): path for path in files}
    return {
        name: path.read_bytes()
        for name, path in names.items()
        if not name.startswith(NO_ARTEFACTS) and "tfevents" not in name
    }
