"""Whether timm has the networks that a configuration names, by its sources: importing it takes seconds."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from wsss.config.systems import Config

REGISTERED = re.compile(r"@register_model\s*\ndef (\w+)\(")
RENAMED = re.compile(r"register_model_deprecations\(__name__, \{(.*?)\}\)", re.DOTALL)
TRAINED = ("classifiers", "refiners", "segmenters", "single_stage")
ELSEWHERE = (":", "/")  # in a name, of the hub or of a folder


def check_timm_names(config: Config) -> list[str]:
    """Findings for networks that timm does not have, with the nearest that it has."""
    return [
        f"{section}.{variant}.network.{key}: timm has no network {name!r}{_nearest(name)}"
        for section in TRAINED
        for variant, settings in config[section].items()
        for key, name in _models(settings.get("network") or {})
        if not _known(name)
    ]


def _models(network: Config, path: str = "") -> Iterator[tuple[str, str]]:
    """The keys and values of all ``model`` in a network's settings."""
    for key, value in network.items():
        if isinstance(value, Mapping):
            yield from _models(value, f"{path}{key}.")
        elif key == "model" and isinstance(value, str):
            yield f"{path}{key}", value


def _known(name: str) -> bool:
    names = timm_names()
    architecture = name.split(".")[0]  # a tag of its weights may follow
    return not names or architecture in names or any(mark in name for mark in ELSEWHERE)


def _nearest(name: str) -> str:
    close = get_close_matches(name.split(".")[0], timm_names(), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


@functools.cache
def timm_names() -> frozenset[str]:
    """Names of all networks of the installed timm without their tags, old names too; none if it is absent."""
    spec = importlib.util.find_spec("timm")
    places = spec.submodule_search_locations if spec else None
    files = sorted(Path(places[0], "models").glob("*.py")) if places else []
    texts = [file.read_text(encoding="utf-8") for file in files]
    old = [key for text in texts for names in RENAMED.findall(text) for key in re.findall(r"'(\w+)':", names)]
    return frozenset([*old, *(name for text in texts for name in REGISTERED.findall(text))])
