"""Whether a data set has anything that scores can be measured on, asked before a run begins.

A score without a mask to compare with would come out empty, after all trainings. What this cannot tell,
such as whether each image of val has its mask, ``prepare_manifest`` says before anything trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from wsss.config.errors import ConfigError
from wsss.data.label_table import read_label_table
from wsss.data.records import read_ids

VAL = "val"


def check_scored(name: str, settings: Mapping[str, Any], split: str) -> None:
    """Refuse a score of a data set that has nothing to score.

    Args:
        name: Name of the data set.
        settings: Its entry in the config.
        split: What the score is measured on, ``train`` or ``val``.

    Raises:
        ConfigError: Says what is missing, and what can be asked for without it.
    """
    if wrong := unscored(settings, split):
        raise ConfigError(
            f"datasets.{name}: expected masks to score, {wrong}. What can be had without: "
            f"results/{name}/predictor, the trained network, and results/{name}/examples.png"
        )


def unscored(settings: Mapping[str, Any], split: str) -> str | None:
    """What a data set lacks for scores on a split, and how to add it; None where it lacks nothing."""
    if settings["kind"] != "folder":
        return None
    if settings["masks"] is None:
        return "found none (datasets' key masks, a folder of PNGs)"
    root = Path(settings["root"])
    if split != VAL or _has_val(root, settings):
        return None
    table = settings["labels"]
    where = (
        f"the column split of {root / table}" if table else f"a folder {VAL} of {root / settings['images']}"
    )
    return f"found no image in the split {VAL}: name some in {where}, or in a file of splits.{VAL}"


def _has_val(root: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the lists name an image of val; also where they are missing, which another says better."""
    if settings["splits"]:
        listed = settings["splits"].get(VAL)
        return bool(listed) and (not (root / listed).is_file() or bool(read_ids(root / listed)))
    if settings["labels"] is None:
        return (root / settings["images"] / VAL).is_dir()
    return not (root / settings["labels"]).is_file() or VAL in _splits(root / settings["labels"])


@cache
def _splits(table: Path) -> set[str | None]:
    """The splits that a table names."""
    return {row.split for row in read_label_table(table).rows.values()}
