"""Each kind of data set has a function that lists it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wsss.data.coco import list_coco
from wsss.data.folder import list_folder, list_sample
from wsss.data.records import Listing
from wsss.data.voc import list_voc

# By the kind; they take the data set's entry in the config and the folder that a rule made for it, if any.
LISTINGS: dict[str, Callable[[Mapping[str, Any], Path | None], Listing]] = {
    "sample": list_sample,
    "voc": list_voc,
    "coco": list_coco,
    "folder": list_folder,
}
