"""Whether an own data set's lists say the same of its training images as when they were last listed.

Told while planning, so that images which are added to val or test are no reason to train anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wsss.artefacts.files import ArtefactError
from wsss.config.datasets import FolderData
from wsss.data.folder import list_folder
from wsss.data.records import Entry

FIELDS = ("id", "image", "mask", "classes", "splits")


def training_unchanged(settings: FolderData, source: Path | None, training: Path) -> bool:
    """Compare the lists with a manifest of the training images; no image is opened.

    Args:
        settings: What defines the data set's images and labels.
        source: Folder of the converted masks, if there is one.
        training: The manifest of its training images, ``train.jsonl``.

    Returns:
        Whether classes, ids, files, labels and splits are the same; False also where either cannot be read.
    """
    try:
        header, *records = map(json.loads, training.read_text(encoding="utf-8").rstrip("\n").split("\n"))
        listing = list_folder(settings, source)
        listed = [_fields(entry) for entry in listing.entries if "train" in entry.splits]
        return header["classes"] == list(listing.classes) and listed == [
            {name: record[name] for name in FIELDS} for record in records
        ]
    except (OSError, ValueError, KeyError, TypeError, ArtefactError):
        return False


def _fields(entry: Entry) -> dict[str, Any]:
    """An entry as a manifest's line says it."""
    mask = None if entry.mask is None else str(entry.mask)
    values = (entry.id, str(entry.image), mask, list(entry.classes), list(entry.splits))
    return dict(zip(FIELDS, values, strict=True))
