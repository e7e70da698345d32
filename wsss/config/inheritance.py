"""Settings that extend others: what ``extends`` means in the configuration.

A mapping with ``extends: NAME`` has the settings of another variant of its section, and its own laid over
them, key by key; ``extends: section.variant.key`` takes those of any mapping. All is settled after the files
of ``--configfile`` are laid over each other, so that what is changed in one variant changes in all that
extend it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from wsss.config.errors import ConfigError, dotted

EXTENDS = "extends"
# Where weights come from, and what one model is built with, are one thing each.
WHOLE = ("initial", "arguments")

Keys = tuple[str, ...]


def inherited(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give every mapping what it extends.

    By hand: with ``a: {x: {p: 1, q: {r: 2, s: 3}}, y: {extends: x, q.r: 4}}`` the second variant is
    ``{p: 1, q: {r: 4, s: 3}}``. A key with dots stands for keys within keys, and only beside ``extends``.
    ``initial`` and ``arguments`` replace those of the extended as a whole. Without differences
    ``extends`` serves for lists, too.

    Args:
        config: Sections of named variants.

    Returns:
        The same without ``extends``; nothing in it is shared.

    Raises:
        ConfigError: For a name that nothing has, differences from what has no keys, and a circle.
    """
    settled: dict[str, Any] = _Inheritance(config).settled(())
    return settled


class _Inheritance:
    """Settles mappings, each laid over what it extends before what lies in it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.done: dict[Keys, Any] = {(): config}
        self.open: list[Keys] = []  # of mappings that wait, each for the next, to be laid over another

    def settled(self, keys: Keys) -> Any:
        """The value under keys, nothing in it shared or left to extend."""
        value = self.laid(keys)
        if isinstance(value, Mapping):
            return {key: self.settled((*keys, key)) for key in value}
        return deepcopy(value)

    def laid(self, keys: Keys) -> Any:
        """The value under keys, laid over what it extends; what lies in it may still extend others."""
        if keys in self.open:
            circle = " -> ".join(dotted(step) for step in [*self.open[self.open.index(keys) :], keys])
            raise ConfigError(f"{EXTENDS}: expected an end, found the circle {circle}")
        if keys not in self.done:
            self.open.append(keys)
            value = self.laid(keys[:-1])[keys[-1]]
            if isinstance(value, Mapping) and EXTENDS in value:
                value = self.over_extended(value, keys)
            self.done[keys] = value
            self.open.pop()
        return self.done[keys]

    def over_extended(self, value: Mapping[str, Any], keys: Keys) -> Any:
        """A mapping under keys over what it extends, which without differences may be anything."""
        found = self.settled(self.found(value[EXTENDS], keys))
        own = {key: below for key, below in value.items() if key != EXTENDS}
        if own and not isinstance(found, Mapping):
            raise ConfigError(
                f"{dotted(keys)}.{EXTENDS}: expected settings to add {', '.join(own)} to, "
                f"{value[EXTENDS]!r} is {found!r}"
            )
        return _laid_over(found, _nested(own), WHOLE) if own else found

    def found(self, name: Any, keys: Keys) -> Keys:
        """Where the settings lie that the mapping under keys extends."""
        named = tuple(str(name).split(".")) if "." in str(name) else (keys[0], str(name))
        for depth, key in enumerate(named):
            around = self.laid(named[:depth])
            if not isinstance(around, Mapping) or key not in around:
                known = ", ".join(map(str, around)) if isinstance(around, Mapping) else around
                where = dotted(named[:depth])
                raise ConfigError(
                    f"{dotted(keys)}.{EXTENDS}: expected one of {where} ({known}), found {name!r}"
                )
        return named


def _nested(differences: Mapping[str, Any]) -> dict[str, Any]:
    """Keys with dots as keys within keys; of two that say the same the later one holds."""
    nested: dict[str, Any] = {}
    for key, value in differences.items():
        first, *rest = str(key).split(".")
        for inner in reversed(rest):
            value = {inner: value}
        nested = _laid_over(nested, {first: value})
    return nested


def _laid_over(
    below: Mapping[str, Any], above: Mapping[str, Any], whole: Sequence[str] = ()
) -> dict[str, Any]:
    """Values of ``above`` in place of those of ``below``, mappings key by key but for ``whole`` ones."""
    merged = dict(below)
    for key, value in above.items():
        former = merged.get(key)
        joins = key not in whole and isinstance(value, Mapping) and EXTENDS not in value
        if joins and isinstance(former, Mapping):
            value = _laid_over(former, value, whole)
        merged[key] = value
    return merged
