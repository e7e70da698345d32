"""Whether a data set has anything that scores can be measured on, told without opening its images.

What this cannot tell, such as whether each image of val has its mask, ``prepare_manifest`` says.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from wsss.config.datasets import Data, FolderData, Split
from wsss.data.label_table import read_label_table
from wsss.data.records import read_ids

VAL: Split = "val"


def unscored(settings: Data, split: str) -> str | None:
    """What a data set lacks for scores on a split.

    Args:
        settings: What defines its images and labels.
        split: ``train`` or ``val``.

    Returns:
        What was found and how to add it; None where nothing lacks.
    """
    if not isinstance(settings, FolderData):
        return None
    if settings.masks is None:
        return "found none; the data set's key masks names their folder"
    if split != VAL or _has_val(settings):
        return None
    root, table = Path(settings.root), settings.labels
    where = f"the column split of {root / table}" if table else f"a folder {root / settings.images / VAL}"
    return f"found no image in the split {VAL}; name some in {where}, or in a file of splits.{VAL}"


def _has_val(settings: FolderData) -> bool:
    """Whether the lists name an image of val; also where they are missing, which another says better."""
    root = Path(settings.root)
    if settings.splits:
        listed = settings.splits.get(VAL)
        return listed is not None and (not (root / listed).is_file() or bool(read_ids(root / listed)))
    if settings.labels is None:
        return (root / settings.images / VAL).is_dir()
    return not (root / settings.labels).is_file() or VAL in _splits(root / settings.labels)


@cache
def _splits(table: Path) -> set[str | None]:
    """The splits that a table names."""
    return {row.split for row in read_label_table(table).rows.values()}
