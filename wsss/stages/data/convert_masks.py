"""Rewrite an own data set's masks, whose values mean what ``masks_values`` says, as label maps, once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wsss.artefacts.files import ArtefactError, PathLike, atomic_folder
from wsss.artefacts.formats import read_mask, write_mask
from wsss.data.checks import data_error
from wsss.data.folder import converted_path, list_folder
from wsss.data.mask_values import label_table, relabelled
from wsss.data.records import Entry, Finding
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.progress import progress


def run(*, source: PathLike, settings: Mapping[str, Any]) -> None:
    """Write ``masks/<id>.png`` for every image that has a mask.

    Args:
        source: Folder to write.
        settings: The data set's entry in the config.

    Raises:
        DataError: If a mask cannot be read or holds a value that has no meaning; all of them are named.
    """
    listing = list_folder(settings)
    if not listing.entries:
        raise data_error(str(settings["root"]), list(listing.findings))
    table, findings = label_table(settings["masks_values"], listing.classes)
    if findings:
        raise data_error(str(settings["root"]), findings)
    masked = [entry for entry in listing.entries if entry.mask and entry.mask.is_file()]
    with atomic_folder(source) as folder:
        results = parallel_map(partial(_convert, folder, table), masked, torch.get_num_threads())
        found = [one for one in progress(results, len(masked), "converting masks") if one is not None]
        if found:
            raise data_error(str(settings["root"]), found)


def _convert(folder: Path, table: NDArray[np.int16], entry: Entry) -> Finding | None:
    try:
        labels, unknown = relabelled(read_mask(str(entry.mask)), table)
    except ArtefactError as error:
        return Finding("unreadable mask", f"{entry.id!r}: {error}")
    if unknown:
        text = f"expected those that `masks_values` has, found {', '.join(map(str, unknown[:5]))} too"
        return Finding("mask values", f"{entry.id!r}: {entry.mask}: {text}")
    write_mask(converted_path(folder, entry.id), labels)
    return None
