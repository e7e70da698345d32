"""The command ``wsss``: use what a run has made, look at what it has left behind, and at what it needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from wsss.artefacts.files import ArtefactError
from wsss.commands import config, diff, doctor, export, init, predict, resume, scores
from wsss.config.errors import ConfigError

COMMANDS = (init, doctor, config, predict, export, scores, resume, diff)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except (ArtefactError, ConfigError) as error:
        print(f"wsss: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsss",
        description="From image-level labels to pixel-level segmentation: set it up, use the result.",
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
