"""``wsss resume``: go on with a run whose Snakemake died."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wsss.artefacts.files import ArtefactError

if TYPE_CHECKING:
    from wsss.commands import Subparsers

# Start of the names of a run's jobs: the profile's `slurm-jobname-prefix` and what the executor adds.
JOB_NAMES = "wsss_"
SECONDS_TO_END = 180  # clusters give a job 30 s between SIGTERM and SIGKILL unless told otherwise
SCRIPTS = ".snakemake/scripts/"
DESCRIPTION = """\
A Snakemake that was killed (kill -9, a login node that went down) leaves a lock behind, and jobs that run on.
A new one knows nothing of them and would start each of them a second time.

This command cancels the SLURM jobs that this folder's earlier run has submitted and ends those it has started
on this machine, removes the lock, and starts Snakemake with the given arguments. What is finished is kept;
trainings go on from their newest checkpoint. With -n it only says what it would do.

Run it in the folder in which Snakemake was run, with the same arguments. Where the earlier run may still be
alive on another login node, end it there first: from here it can't be seen.
"""


class Asked(NamedTuple):
    """What Snakemake's arguments, with those of a profile, ask for.

    Attributes:
        folder: Where Snakemake would work.
        dry_run: Whether it would only say what it would do.
        on_slurm: Whether its jobs go to SLURM, whose commands are on some machines without a cluster, too.
    """

    folder: Path
    dry_run: bool
    on_slurm: bool


class ResumeError(ArtefactError):
    """The run can't go on yet; the message says what to do."""


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    # Without a prefix character argparse leaves options alone: all of them are Snakemake's.
    resume = commands.add_parser(
        "resume",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: wsss resume --workflow-profile profiles/slurm results/voc/seg_miou.json",
        prefix_chars="\0",
        add_help=False,
    )
    resume.add_argument("arguments", nargs=argparse.REMAINDER, help="Snakemake's arguments, as before")
    resume.set_defaults(command=lambda options: _resume(resume, options.arguments))


def _resume(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    if set(arguments) & {"-h", "--help"} or not arguments:
        parser.print_help()
        return 0 if arguments else 2
    folder, dry_run, on_slurm = _understood(arguments)
    _refuse_if_alive(folder)
    jobs, scripts = _queued(folder) if on_slurm else [], _scripts(folder)
    _say(jobs, scripts)
    if not dry_run:
        _cancel(folder, jobs)
        _end(folder, scripts)
        _unlock(folder, arguments)
    command = [sys.executable, "-m", "snakemake", "--rerun-incomplete", *arguments]
    os.execv(command[0], command)


def _understood(arguments: Sequence[str]) -> Asked:
    # Which knows -np, --directory, and what a profile sets.
    from snakemake.cli import parse_args  # type: ignore[import-untyped]

    _, options = parse_args(list(arguments))
    folder = Path(options.directory or ".").resolve()
    return Asked(folder, bool(options.dryrun), on_slurm=options.executor == "slurm")


def _say(jobs: Sequence[str], scripts: Sequence[int]) -> None:
    for where, found in (("in SLURM", jobs), ("on this machine", scripts)):
        print(f"wsss: jobs of an earlier run {where}: {' '.join(map(str, found)) or 'none'}", flush=True)


def _refuse_if_alive(folder: Path) -> None:
    alive = [pid for pid, words in _processes(folder) if _is_snakemake(words)]
    if alive:
        raise ResumeError(
            f"{folder}: Snakemake still runs here as process {alive[0]}; wait for it, or end it with "
            f"kill -INT {alive[0]} (it then cancels its jobs), and run this again"
        )


def _is_snakemake(words: Sequence[str]) -> bool:
    """Whether this is a run's Snakemake, not one that a job is made of."""
    return any(Path(word).name == "snakemake" for word in words[:3]) and "--mode" not in words


def _scripts(folder: Path) -> list[int]:
    """Processes on this machine that run a rule's script in a folder."""
    return [pid for pid, words in _processes(folder) if any(SCRIPTS in word for word in words)]


def _processes(folder: Path) -> list[tuple[int, list[str]]]:
    """This user's processes that work in a folder: number and command line; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid == os.getuid() and Path(os.readlink(entry / "cwd")) == folder:
                found.append((int(entry.name), (entry / "cmdline").read_text(errors="replace").split("\0")))
        except OSError:  # it has ended meanwhile
            continue
    return found


def _queued(folder: Path) -> list[str]:
    """SLURM's numbers of this user's jobs that were submitted from a folder by a run."""
    arguments = ["--noheader", f"--user={os.getuid()}", "--format=%A|%j|%Z"]
    lines = [line.split("|", 2) for line in _ask("squeue", *arguments).splitlines()]
    found = {job for job, name, place in lines if name.startswith(JOB_NAMES) and _same(folder, place)}
    return sorted(found, key=int)


def _same(folder: Path, place: str) -> bool:
    return Path(place.strip()).resolve() == folder


def _ask(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ResumeError(
            f"{command[0]}: {result.stderr.strip() or f'failed with status {result.returncode}'}; without an "
            "answer from SLURM this run's jobs can't be found; run this again when it answers"
        )
    return result.stdout


def _cancel(folder: Path, jobs: Sequence[str]) -> None:
    if jobs:
        _ask("scancel", *jobs)
        _wait(lambda: _queued(folder), "SLURM jobs")


def _end(folder: Path, scripts: Sequence[int]) -> None:
    """SIGTERM: a training writes a checkpoint first."""
    for pid in set(scripts) & set(_scripts(folder)):
        os.kill(pid, signal.SIGTERM)
    _wait(lambda: _scripts(folder), "processes")


def _wait(left: Callable[[], Sequence[object]], what: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_END
    while remaining := left():
        if time.monotonic() > deadline:
            names = " ".join(map(str, remaining))
            raise ResumeError(f"{what} {names} have not ended in {SECONDS_TO_END} s; end them and run again")
        time.sleep(1)


def _unlock(folder: Path, arguments: Sequence[str]) -> None:
    if any((folder / ".snakemake" / "locks").glob("*")):
        subprocess.run([sys.executable, "-m", "snakemake", "--unlock", *arguments], check=True)
