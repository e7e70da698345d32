"""``wsss init``: from a folder of pictures to a file of settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from wsss.artefacts.files import Values
from wsss.config.checks import check_config
from wsss.config.datasets import FolderData, data_settings
from wsss.config.errors import ConfigError
from wsss.config.reading import ROOT, lay_over, read_mapping, resolved
from wsss.doctor.machine import gpu_names
from wsss.doctor.plans import targets
from wsss.setup.choices import beside, chain, reading, work
from wsss.setup.draft import draft
from wsss.setup.look import Look, described, held_back, look
from wsss.setup.next_step import run_command
from wsss.setup.split import HELD_BACK, SEED, choose_val, is_split, lists
from wsss.setup.writing import write_new

if TYPE_CHECKING:
    from wsss.commands import Subparsers

GPU = {"yes": True, "no": False}


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    init = commands.add_parser(
        "init",
        description=(
            "Look at a folder of pictures and their labels, say what was found, and write NAME.yaml here: "
            "where they lie, and what suits their number, their size and this machine. Where there are "
            "masks and nothing says which images are held back, one in five of those with a mask is, and "
            "lists say which. The last line printed is the command that comes next. Nothing is written "
            "over a file that is there, or of data that cannot be used."
        ),
        epilog="example: wsss init pets --images pets/images --labels pets/labels.csv",
    )
    init.add_argument("name", help="how the data set is called: letters, digits and _")
    init.add_argument("--images", required=True, metavar="FOLDER", help="the pictures")
    init.add_argument(
        "--labels",
        metavar="FILE",
        help="a table id,class,class,... or id,<class names as 0/1 columns>; left out: the folder of a "
        "picture is its class",
    )
    init.add_argument(
        "--masks", metavar="FOLDER", help="PNGs of class numbers, of all or some of the pictures"
    )
    init.add_argument(
        "--gpu", choices=("auto", *GPU), default="auto", help="whether the run will have one (default: look)"
    )
    init.set_defaults(command=_init)


def _init(options: argparse.Namespace) -> int:
    source = {"kind": "folder", "images": options.images, "labels": options.labels, "masks": options.masks}
    found = look(options.name, _settings(options.name, source))
    if found.wrong:
        print("\n".join(f"error: {one.subject}: {one.found}\n       -> {one.fix}" for one in found.wrong))
        print("nothing was written; correct the data and run this again")
        return 1
    files: dict[Path, str] = {}
    split = ""
    if options.masks and not is_split(found.entries) and (val := choose_val(found.entries)):
        found = held_back(found, val)
        files, names = lists(options.name, found.entries)
        source["splits"] = names
        split = f"none were given: val is one in {HELD_BACK} of the images with a mask, seed {SEED}"
    return _write(options, source, found, split, files)


def _write(
    options: argparse.Namespace, source: Values, found: Look, split: str, files: dict[Path, str]
) -> int:
    """Choose, write, and say so."""
    gpus = gpu_names()
    facts = found.facts(GPU.get(options.gpu, bool(gpus)))
    chosen = [reading(facts), work(facts), chain(facts), beside(facts)]
    text = draft(options.name, source, split, chosen)
    _settings(options.name, yaml.safe_load(text)["datasets"][options.name])
    config = Path(f"{options.name}.yaml")
    write_new({config: text, **files})
    print("\n".join(described(found, split)))
    print(f"GPU: {', '.join(gpus) or 'none found'}; the settings are for {'one' if facts.gpu else 'a CPU'}")
    print(f"written: {', '.join(map(str, (config, *files)))}:\n\n{text}")
    print(f"`wsss doctor {options.name}` checks weights, room and this machine; the run itself:\n")
    print(f"    {run_command(config, targets(options.name, found.scored))}")
    return 0


def _settings(name: str, source: Values) -> FolderData:
    """A data set's entry with all defaults, as a run reads it."""
    config = read_mapping(ROOT / "config.yaml")
    if name in config["datasets"]:
        raise ConfigError(f"{name}: expected a name of its own, config.yaml has a data set of this name")
    lay_over(config, {"datasets": {name: source}})
    settled = resolved(config)
    check_config(settled)
    return FolderData.model_validate(data_settings(settled["datasets"][name]))
