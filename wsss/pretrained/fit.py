"""Whether files of initial weights are those of the networks that are to start from them.

Nothing here imports torch: another process builds the networks, one for all that is in doubt, and what fits
is remembered in the working folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from wsss.pretrained.files import LONGEST_HEADER, locate, starts

MEMORY = Path(".snakemake", "weights_that_fit")  # an empty file for each pair of a network and its files
ROOT = Path(__file__).parents[2]
SECTIONS = ("classifiers", "refiners", "segmenters", "apc")

Settings = Mapping[str, Any]


class Fits:
    """Answers for the networks of one configuration; those of all variants are found together."""

    def __init__(self, config: Settings) -> None:
        """Keep the whole configuration's variants that start from weights; nothing is read yet."""
        self._variants = {
            (section, name): variant
            for section in SECTIONS
            for name, variant in config[section].items()
            if "initial" in variant
        }

    def misfit(self, section: str, name: str) -> str | None:
        """What keeps the files of a variant from being its network's weights.

        Returns:
            The file, and which names and shapes are others; None if it fits, or if that cannot be told, which
            the training then does.
        """
        if _is_known(section, self._variants[section, name]):
            return None
        return self._misfits.get((section, name))

    @cached_property
    def _misfits(self) -> dict[tuple[str, str], str]:
        asked = {key: variant for key, variant in self._variants.items() if not _is_known(key[0], variant)}
        found = _ask([[section, variant] for (section, _), variant in asked.items()])
        for ((section, _), variant), wrong in zip(asked.items(), found, strict=False):
            if wrong is None:
                remember(section, variant)
        return {key: wrong for key, wrong in zip(asked, found, strict=False) if wrong is not None}


def remember(section: str, variant: Settings) -> None:
    """Note that a variant's files fit its network, until either changes."""
    with contextlib.suppress(OSError):  # forgetting costs seconds
        MEMORY.mkdir(parents=True, exist_ok=True)
        _memory(section, variant).touch()


def _is_known(section: str, variant: Settings) -> bool:
    """Whether a variant's files are known to fit; where there is none there is nothing to doubt."""
    return all(map(_was_made_for, _given(variant))) or _memory(section, variant).exists()


def _given(variant: Settings) -> list[tuple[Settings, Path]]:
    """The networks of a variant that start from files, and those of the files that are there."""
    files = [
        (start.network, locate(start.initial["file"]))
        for start in starts(variant)
        if start.initial.get("file")
    ]
    return [(network, path) for network, path in files if path.is_file()]


def _memory(section: str, variant: Settings) -> Path:
    states = [(str(path.resolve()), path.stat()) for _, path in _given(variant)]
    files = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    text = json.dumps([section, variant["network"], files], sort_keys=True)
    return MEMORY / hashlib.sha256(text.encode()).hexdigest()


def _was_made_for(given: tuple[Settings, Path]) -> bool:
    """Whether a file says itself that our own pretraining made it, for a network of the same tensors."""
    network, path = given
    with path.open("rb") as file:
        length = min(int.from_bytes(file.read(8), "little"), LONGEST_HEADER)
        try:
            header = json.loads(file.read(length))
            made = json.loads(header["__metadata__"]["wsss"])["params"]["network"]
        except (ValueError, KeyError, TypeError):
            return False
    return _architecture(made) == _architecture(network)


def _architecture(network: Settings) -> list[Any]:
    """The settings that decide which tensors a network has, heads apart."""
    inner = network.get("backbone", network)
    if "variant" in inner:
        return [inner["variant"], inner.get("output_stride")]
    side = network.get("native_side")
    return [inner.get("model"), {**inner.get("arguments", {}), **({"img_size": side} if side else {})}]


def _ask(variants: list[Any]) -> list[str | None]:
    """What does not fit of each variant; nothing where torch is missing or fails."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    answer = subprocess.run(
        [sys.executable, "-m", "wsss.pretrained.meta_loading"],
        input=json.dumps(variants),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(answer.stdout) if answer.returncode == 0 else []
