"""``wsss doctor``: is everything in place for a run?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.commands.options import add_config, config_files
from wsss.doctor.examination import PROFILE, examine
from wsss.doctor.verdict import ERROR, WARNING, Verdict

if TYPE_CHECKING:
    from wsss.commands import Subparsers

INDENT = "         "  # as wide as a status


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    doctor = commands.add_parser(
        "doctor",
        description=(
            "Check, in seconds and before anything is queued: Python and packages, GPU and driver, the lists "
            "of the data sets and a sample of their files, initial weights, room on the disk, and the SLURM "
            "profile beside the cluster's partitions. A line each says ok, warning or error, and how to fix "
            "it. Exit status 0: no error; 1: at least one."
        ),
        epilog="example: wsss doctor --config mine.yaml mine",
    )
    doctor.add_argument(
        "datasets",
        nargs="*",
        help="the data sets to be used; by default those that are there, and those in the --config files",
    )
    add_config(doctor)
    doctor.add_argument(
        "--profile",
        type=Path,
        default=PROFILE,
        metavar="FOLDER",
        help="the SLURM profile to compare with the cluster (default: %(default)s)",
    )
    doctor.set_defaults(command=_examine)


def _examine(options: argparse.Namespace) -> int:
    files = config_files(options.config, options.datasets)
    verdicts = examine(files, options.datasets, options.profile)
    print("\n".join(lines(verdicts)))
    return int(any(verdict.status == ERROR for verdict in verdicts))


def lines(verdicts: Sequence[Verdict]) -> Iterable[str]:
    """The report: one line per verdict, its fix below it, and the sum."""
    for verdict in verdicts:
        yield f"{verdict.status:<{len(INDENT)}}{verdict.subject}: {verdict.found}"
        if verdict.fix:
            yield f"{INDENT}-> {verdict.fix}"
    errors, warnings = (sum(one.status == status for one in verdicts) for status in (ERROR, WARNING))
    yield f"{len(verdicts)} checks, {errors} errors, {warnings} warnings"
