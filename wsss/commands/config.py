"""``wsss config``: all settings of a data set, and where each was written."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from wsss.commands.options import add_config, config_files
from wsss.config.errors import ConfigError, nearest
from wsss.config.origins import is_preset, origin_of, origins
from wsss.config.reading import read_config, without_defaults
from wsss.config.systems import Chain, Config

if TYPE_CHECKING:
    from wsss.commands import Subparsers

DEFAULT = "default"


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    config = commands.add_parser(
        "config",
        description=(
            "Print a data set's settings and those of the variants that its main chain and its single stage "
            "are made of, after presets, inheritance and defaults, each with the file and line that it comes "
            "from. The output is YAML."
        ),
        epilog="example: wsss config --config mine.yaml --changed mine",
    )
    config.add_argument("dataset", help="a data set of the configuration")
    config.add_argument(
        "--changed",
        action="store_true",
        help="only what neither a preset (config/*.yaml) nor a default says",
    )
    add_config(config)
    config.set_defaults(command=_print)


def _print(options: argparse.Namespace) -> int:
    files = config_files(options.config, [options.dataset])
    config = read_config(files)
    if options.dataset not in config["datasets"]:
        known = nearest(options.dataset, config["datasets"])
        raise ConfigError(f"no data set is called {options.dataset!r}; {known}")
    written = origins(files)
    shown = used(without_defaults(config) if options.changed else config, config, options.dataset)
    print("\n".join(_lines(shown, written, (), options.changed)))
    return 0


def used(settings: Config, config: Config, name: str) -> dict[str, Any]:
    """The part of some settings that a data set's main chain and single stage are made of.

    Args:
        settings: All of the configuration, or less.
        config: All of it.
        name: The data set.
    """
    dataset = config["datasets"][name]
    single = dataset["single_stage"] or {}
    names = {
        "datasets": [name],
        **{f"{part}s": [dataset["main"][part]] for part in Chain._fields},
        "inferences": dataset["inferences"],
        "single_stage": [single["main"]] if single else [],
        "single_stage_inferences": [*single["inferences"], *single["pseudo"]] if single else [],
    }
    chosen = {
        section: {variant: settings[section][variant] for variant in variants if variant in settings[section]}
        for section, variants in names.items()
        if section in settings
    }
    others = {key: settings[key] for key in ("evaluation", "execution") if key in settings}
    return {**chosen, **others}


def _lines(
    settings: Mapping[str, Any], written: Mapping[str, Any], keys: tuple[Any, ...], changed: bool
) -> Iterator[str]:
    """YAML of settings, a comment behind each value."""
    indent = "  " * len(keys)
    for key, value in settings.items():
        path = (*keys, key)
        if isinstance(value, Mapping) and value:
            inner = list(_lines(value, written, path, changed))
            yield from [f"{indent}{key}:", *inner] if inner else []
            continue
        origin = origin_of(written, path)
        if not changed or (origin and not is_preset(origin)):
            yield f"{indent}{key}: {_inline(value)} # {origin or DEFAULT}"


def _inline(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()
