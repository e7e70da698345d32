"""What is asked of a data set: parts of its settings that may be missing, and its shards."""

from __future__ import annotations

from wsss.config.errors import ConfigError
from wsss.config.systems import Config
from wsss.workflow.truth import check_scored

SHARDS = {"train": "shards", "val": "val_shards", "test": "val_shards"}  # key of their number, by split


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


def scored_shards(config: Config, dataset: str, split: str) -> list[str]:
    """The same for a score; raises :class:`ConfigError` if the data set has nothing to score."""
    check_scored(dataset, config["datasets"][dataset], split)
    return shards(config, dataset, split)


def manifest_of(dataset: str, split: str) -> str:
    """The manifest that stages which read one split read: of the training images alone, or of all."""
    return f"results/{dataset}/{'train' if split == 'train' else 'manifest'}.jsonl"
