"""Reading the configuration: the user's files over ``config.yaml`` over the presets, with defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from wsss.config.checks import check_config
from wsss.config.configuration import Configuration
from wsss.config.errors import UNKNOWN, ConfigError, explain, nearest
from wsss.config.inheritance import inherited

ROOT = Path(__file__).parents[2]  # of the checkout, where the Snakefile lies
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one takes a tenth of the time


def read_config(overlays: Sequence[Path], root: Path = ROOT) -> dict[str, Any]:
    """Read and check the configuration, as Snakemake does with ``--configfile``.

    Args:
        overlays: Files laid over ``config.yaml``, in their order.
        root: Folder of ``config.yaml`` and of the presets.

    Raises:
        ConfigError: If a file cannot be read, a key is unknown or parts do not fit together.
    """
    config: dict[str, Any] = {}
    for path in (root / "config.yaml", *overlays):
        lay_over(config, read_mapping(path))
    config = resolved(config, root)
    check_config(config)
    return config


def resolved(config: Mapping[str, Any], root: Path = ROOT) -> dict[str, Any]:
    """All settings, with presets, what variants extend, and defaults.

    Args:
        config: ``config.yaml`` with the user's files laid over it.
        root: Folder whose ``config/`` has the presets.

    Returns:
        Plain values by section; the order of keys is that of the models, whatever that of the files, for
        jobs are compared by their parameters as text.

    Raises:
        ConfigError: Names the first key that is wrong.
    """
    given = over_presets(config, root)
    _check_sections(given)  # before what extends a variant of an unknown one
    settled = inherited(given)
    try:
        return Configuration.model_validate(settled).model_dump()
    except ValidationError as error:
        raise ConfigError(explain(error, settled, given)) from None


def _check_sections(config: Mapping[str, Any]) -> None:
    for section in config:
        if section not in Configuration.model_fields:
            raise ConfigError(f"{section}: {UNKNOWN}; {nearest(section, Configuration.model_fields)}")


def without_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Resolved settings without those that the models have by default."""
    return Configuration.model_validate(config).model_dump(exclude_defaults=True)


def over_presets(config: Mapping[str, Any], root: Path = ROOT) -> dict[str, Any]:
    """The presets with a configuration laid over them."""
    below: dict[str, Any] = {}
    for path in preset_files(root):
        lay_over(below, read_mapping(path))
    lay_over(below, config)
    return below


def preset_files(root: Path = ROOT) -> list[Path]:
    """The files of ``config/``."""
    return sorted((root / "config").glob("*.yaml"))


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content or {}, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content or {}


def lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Replace values below by those above, mappings key by key, as Snakemake's ``--configfile`` does."""
    for key, value in above.items():
        if not isinstance(value, Mapping):
            below[key] = value
        elif value:
            below[key] = below[key] if isinstance(below.get(key), dict) else {}
            lay_over(below[key], value)
        else:
            below.setdefault(key, {})  # as Snakemake: an empty mapping replaces nothing


def named_datasets(overlays: Sequence[Path]) -> set[str]:
    """The data sets that the user's own files speak of."""
    return {name for path in overlays for name in read_mapping(path).get("datasets") or {}}
