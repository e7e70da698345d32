"""Each kind of data set has a function that lists it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from wsss.config.datasets import CocoData, Data, FolderData, SampleData, VocData
from wsss.data.coco import list_coco
from wsss.data.folder import list_folder, list_sample
from wsss.data.records import Listing
from wsss.data.voc import list_voc


def list_images(settings: Data, source: Path | None = None) -> Listing:
    """List a data set.

    Args:
        settings: What defines its images and labels.
        source: The folder that a rule made for it, if any.

    Returns:
        Its images and classes, and what is wrong with its lists.
    """
    match settings:
        case SampleData():
            return list_sample(source)
        case VocData():
            return list_voc(settings)
        case CocoData():
            return list_coco(settings, source)
        case FolderData():
            return list_folder(settings, source)
        case _:
            assert_never(settings)
