"""What is asked of a data set: parts of its settings that may be missing, and its shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from wsss.config.datasets import data_of
from wsss.config.errors import ConfigError
from wsss.config.systems import Config
from wsss.workflow.truth import check_scored
from wsss.workflow.wildcards import Wildcards

COUNTED = 12  # shards of one job that counts, where there are so many
SHARDS = {"train": "shards", "val": "val_shards", "test": "val_shards"}  # key of their number, by split


def setting(config: Config, path: str, **more: Callable[[Wildcards], Any]) -> Callable[[Wildcards], Any]:
    """A function of wildcards that answers with a part of the configuration.

    Snakemake's ``lookup`` does the same and compares each key of the whole configuration with the path: over
    half of the time that planning took.

    Args:
        config: The whole configuration.
        path: Keys, and positions in lists, between slashes, with wildcards such as ``{dataset}`` in them.
        more: Functions of the wildcards, whose answers the path names besides.
    """
    parts = path.split("/")

    def answer(wildcards: Wildcards) -> Any:
        names = {**vars(wildcards), **{name: value(wildcards) for name, value in more.items()}}
        return _at(config, [part.format_map(names) for part in parts])

    return answer


def _at(config: Config, keys: list[str]) -> Any:
    value: Any = config
    for depth, key in enumerate(keys, start=1):
        try:
            value = value[key] if isinstance(value, Mapping) else value[int(key)]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ConfigError(f"{'.'.join(keys[:depth])}: expected settings, found none") from error
    return value


def section(config: Config, dataset: str, key: str) -> Config:
    """A part of a data set's settings; raises :class:`ConfigError` if it is missing or null."""
    settings: Config | None = config["datasets"][dataset].get(key)
    if settings is None:
        raise ConfigError(f"datasets.{dataset}.{key}: expected settings, found none")
    return settings


def shard_names(count: int) -> list[str]:
    """Names of a split's shards, ``000of002`` and so on."""
    return [f"{index:03d}of{count:03d}" for index in range(count)]


def shards(config: Config, dataset: str, split: str) -> list[str]:
    """Shards of a data set's split."""
    return shard_names(config["datasets"][dataset][SHARDS[split]])


def counted_parts(config: Config, dataset: str, split: str) -> list[str]:
    """Names of the jobs that count a split; raises :class:`ConfigError` if there is nothing to score."""
    check_scored(dataset, data_of(config["datasets"][dataset]), split)
    return shard_names(math.ceil(len(shards(config, dataset, split)) / COUNTED))


def counted_shards(config: Config, dataset: str, split: str, part: str) -> list[str]:
    """The shards that one of these jobs counts, all of which have about as many."""
    index, _, count = part.partition("of")
    return shards(config, dataset, split)[int(index) :: int(count)]


def manifest_of(dataset: str, split: str) -> str:
    """The manifest that stages which read one split read: of the training images alone, or of all."""
    return f"results/{dataset}/{'train' if split == 'train' else 'manifest'}.jsonl"
