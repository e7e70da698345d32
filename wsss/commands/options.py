"""Options that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


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
