"""``wsss diff``: compare two runs, stage by stage."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wsss.artefacts.files import ArtefactError

if TYPE_CHECKING:
    from wsss.commands import Subparsers
    from wsss.diff import Comparison

CANNOT_COMPARE = 2


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    diff = commands.add_parser(
        "diff",
        description=(
            "Compare two folders of results, or two files: which artefacts are equal, which differ and by "
            "how much, where the two part and why. Scores are set beside the noise between runs where "
            "several were run. Folders may be results, one data set's, or any folder below."
        ),
        epilog=(
            "exit status: 0 equal, 1 different or a stage missing, 2 something cannot be compared. "
            "example: wsss diff results_a/voc results_b/voc --html diff.html"
        ),
    )
    diff.add_argument("a", type=Path, metavar="A", help="a folder of results, or a file in one")
    diff.add_argument("b", type=Path, metavar="B", help="what to compare it with")
    diff.add_argument("--json", action="store_true", help="print JSON instead of tables")
    diff.add_argument(
        "--html", type=Path, metavar="FILE", help="also write a page with the most different images"
    )
    diff.set_defaults(command=_diff)


def _diff(options: argparse.Namespace) -> int:
    from wsss.diff import compare

    try:
        comparison = compare(options.a, options.b)
        _print(comparison, options.json)
        if options.html:
            from wsss.diff.page import write_page

            write_page(options.html, comparison)
    except (ArtefactError, OSError) as error:
        print(f"wsss: {error}", file=sys.stderr)
        return CANNOT_COMPARE
    return comparison.status


def _print(comparison: Comparison, as_values: bool) -> None:
    from wsss.diff.text import as_json, format_comparison

    print(as_json(comparison) if as_values else format_comparison(comparison))
