"""The command ``wsss``: use what a run has made, look at what it has left behind, and at what it needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from wsss.artefacts.files import ArtefactError
from wsss.config.errors import ConfigError

# The modules of wsss.commands, and what stands in the list of commands. Only that of the command asked for is
# imported: what another one needs would keep it waiting.
COMMANDS = {
    "init": "look at pictures of your own and write a file of settings for them",
    "doctor": "check that everything is in place for a run",
    "config": "print all settings that a data set comes to, and where they were written",
    "predict": "label pictures by a trained network",
    "export": "write results in the forms of other tools",
    "scores": "print the scores of a chain, stage by stage",
    "resume": "go on with a run whose Snakemake was killed: cancel its jobs, unlock, run again",
    "diff": "compare two runs, stage by stage",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(given[0] if given else "").parse_args(given)
    try:
        status: int = options.command(options)
    except (ArtefactError, ConfigError) as error:
        print(f"wsss: {error}", file=sys.stderr)
        return 1
    return status


def _parser(asked: str) -> argparse.ArgumentParser:
    """The command line: all commands by name, the one asked for with its arguments."""
    parser = argparse.ArgumentParser(
        prog="wsss",
        description="From image-level labels to pixel-level segmentation: set it up, use the result.",
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, meaning in COMMANDS.items():
        if name == asked:
            import_module(f"wsss.commands.{name}").add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=meaning)
    return parser


if __name__ == "__main__":
    sys.exit(main())
