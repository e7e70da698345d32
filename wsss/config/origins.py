"""Where each setting was written: file and line, by the path at which it counts in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from wsss.config.inheritance import EXTENDS, inherited
from wsss.config.reading import ROOT, lay_over, preset_files

Tree = dict[str, Any]


def origins(overlays: Sequence[Path], root: Path = ROOT) -> Tree:
    """The configuration with, in place of every value, the file and line that it comes from.

    What is laid over what, and what extends what, is settled exactly as for the values; settings that are
    written nowhere, the models' defaults, are absent.

    Args:
        overlays: Files laid over ``config.yaml``, in their order.
        root: Folder of ``config.yaml`` and of the presets.

    Returns:
        Mappings by key down to text such as ``config/own.yaml:12``; a list is one value.
    """
    tree: Tree = {}
    for path in (*preset_files(root), root / "config.yaml", *overlays):
        lay_over(tree, _places(path, root))
    return inherited(tree)


def is_preset(origin: str) -> bool:
    """Whether a value comes from one of the files of ``config/``."""
    return origin.startswith("config/")


def _places(path: Path, root: Path) -> Tree:
    """The mappings of a file with places in place of values."""
    loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
    name = str(path.relative_to(root) if path.is_relative_to(root) else path)
    node = loader.get_single_node()
    return _placed(node, loader, name) if isinstance(node, yaml.MappingNode) else {}


def _placed(node: yaml.Node, loader: yaml.SafeLoader, name: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return f"{name}:{node.start_mark.line + 1}"
    loader.flatten_mapping(node)  # YAML's own merging of mappings
    pairs = [(loader.construct_object(key), value) for key, value in node.value]
    return {
        key: loader.construct_object(value) if key == EXTENDS else _placed(value, loader, name)
        for key, value in pairs
    }


def origin_of(tree: Mapping[str, Any], keys: Sequence[Any]) -> str | None:
    """Where a setting was written, or the mapping that holds all of it; None for a default."""
    value: Any = tree
    for key in keys:
        if isinstance(value, str):
            return value
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value if isinstance(value, str) else None
