"""Whether a data set has anything that scores can be measured on, told without opening its images.

What this cannot tell, such as whether each image of val has its mask, ``prepare_manifest`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from wsss.data.label_table import read_label_table
from wsss.data.records import read_ids

VAL = "val"


def unscored(settings: Mapping[str, Any], split: str) -> str | None:
    """What a data set lacks for scores on a split.

    Args:
        settings: Its entry in the config, with all defaults.
        split: ``train`` or ``val``.

    Returns:
        What was found and how to add it; None where nothing lacks.
    """
    if settings["kind"] != "folder":
        return None
    if settings["masks"] is None:
        return "found none; the data set's key masks names their folder"
    if split != VAL or _has_val(Path(settings["root"]), settings):
        return None
    table, images = settings["labels"], Path(settings["root"]) / settings["images"]
    where = f"the column split of {Path(settings['root']) / table}" if table else f"a folder {images / VAL}"
    return f"found no image in the split {VAL}; name some in {where}, or in a file of splits.{VAL}"


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
