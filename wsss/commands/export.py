"""``wsss export``: results in the forms of other tools."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from wsss.commands import export_labels, export_model

if TYPE_CHECKING:
    from wsss.commands import Subparsers

EXPORTS = (export_labels, export_model)  # what can be exported, a module each with `add_parser`


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    export: argparse.ArgumentParser = commands.add_parser(
        "export",
        description="Write results in the forms of other tools.",
        epilog="example: wsss export labels --help",
    )
    kinds = export.add_subparsers(title="what to export", required=True, metavar="KIND")
    for kind in EXPORTS:
        kind.add_parser(kinds)
