"""Options that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wsss.commands import Subparsers


def config_files(given: Sequence[Path], datasets: Sequence[str]) -> list[Path]:
    """The user's files: those given, or else ``NAME.yaml`` in this folder of each named data set."""
    found = [path for name in datasets if (path := Path(f"{name}.yaml")).is_file()]
    return list(given) or found


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``, the user's files."""
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="as for snakemake --configfile: laid over config.yaml; may be given several times "
        "(default: NAME.yaml in this folder, as `wsss init` writes it, of a data set NAME that is asked for)",
    )


class Export(NamedTuple):
    """A kind of export: its name, what stands in its help, and what its arguments are.

    Attributes:
        name: Of the command.
        help: One line.
        description: With the forms.
        example: A command.
        source: Name of the argument that is exported, and its help.
        forms: What ``--to`` offers.
        out: What ``--out`` takes, in capitals.
    """

    name: str
    help: str
    description: str
    example: str
    source: tuple[str, str]
    forms: Sequence[str]
    out: str


def add_export(kinds: Subparsers, export: Export) -> argparse.ArgumentParser:
    """Add the command of a kind of export with what all of them have; returns its parser for the rest."""
    parser: argparse.ArgumentParser = kinds.add_parser(
        export.name,
        help=export.help,
        description=export.description,
        epilog=f"example:\n  {export.example}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source, meaning = export.source
    parser.add_argument(source, type=Path, metavar=source.upper(), help=meaning)
    parser.add_argument("--to", choices=export.forms, required=True, help="the form", metavar="FORM")
    parser.add_argument(
        "--out", type=Path, required=True, metavar=export.out, help="what to write; not there yet"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    return parser
