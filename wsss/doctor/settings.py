"""The configuration as Snakemake would read it: ``config.yaml`` under the files of ``--configfile``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from wsss.configuration import Config, ConfigError, check_config
from wsss.inheritance import inherited

ROOT = Path(__file__).parents[2]  # of the checkout, where the Snakefile lies
SHOWN = 3  # findings of the schema
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one takes a tenth of the time


def read_config(overlays: Sequence[Path], root: Path = ROOT) -> Config:
    """Read and check the configuration.

    Args:
        overlays: Files laid over ``config.yaml``, in their order.
        root: Folder of ``config.yaml`` and of the schema.

    Raises:
        ConfigError: If a file cannot be read, a key is unknown or parts do not fit together.
    """
    config: dict[str, Any] = {}
    for path in (root / "config.yaml", *overlays):
        lay_over(config, read_mapping(path))
    config = inherited(config)
    schema = read_mapping(root / "rules" / "config.schema.yaml")
    findings = [
        f"{'.'.join(map(str, error.absolute_path)) or 'the file'}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(config)
    ]
    if findings:
        more = f"; and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
        raise ConfigError("; ".join(findings[:SHOWN]) + more)
    check_config(config)
    return config


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
