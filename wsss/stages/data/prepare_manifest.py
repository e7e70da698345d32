"""List a data set, check every file of it, and write the manifest that all other stages read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import validate_call

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import Manifest, Record, write_manifest
from wsss.config.datasets import Data
from wsss.config.views import View, excesses
from wsss.data.checks import (
    SHOWN,
    Examined,
    check_listing,
    data_error,
    examine,
    mapped_sizes,
    pixel_limit,
    report,
)
from wsss.data.class_numbers import check_masks
from wsss.data.listings import list_images
from wsss.data.records import Entry, Finding, Listing
from wsss.data.remarks import remarks
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.progress import progress
from wsss.runtime.threads import thread_count

log = logging.getLogger(__name__)


@validate_call
def run(
    *,
    manifest: PathLike,
    dataset: str,
    settings: Data,
    views: Mapping[str, View] | None = None,
    source: PathLike | None = None,
) -> None:
    """Write the manifest of a data set, or stop with one error that lists all that is wrong with it.

    Args:
        manifest: Manifest to write.
        dataset: Name of the data set.
        settings: What defines its images and labels.
        views: The classifiers' largest views, by :func:`wsss.config.views.largest_views`; their class maps
            are taken of each training image that shows a class.
        source: Folder made by generate_sample, render_masks or convert_pictures, where the kind needs one.
    """
    listing = list_images(settings, None if source is None else Path(source))
    examined = _examine(listing, pixel_limit(settings))
    findings = check_listing(listing, settings)
    findings += [found for one in examined for found in one.findings]
    findings += check_masks(listing, examined)
    findings += _check_views(listing, examined, views or {})
    if findings:
        log.error("data set %r:\n%s", dataset, report(findings, SHOWN))
        raise data_error(dataset, findings)
    for remark in remarks(listing, examined):
        log.warning("data set %r: %s; %s", dataset, *remark)
    records = tuple(map(_record, listing.entries, examined))
    write_manifest(manifest, Manifest(dataset, listing.classes, records))
    _log_summary(dataset, listing)


def _examine(listing: Listing, limit: int) -> list[Examined]:
    function = partial(examine, num_classes=len(listing.classes), limit=limit)
    results = parallel_map(function, listing.entries, thread_count())
    return list(progress(results, len(listing.entries), "checking images"))


def _check_views(listing: Listing, examined: Sequence[Examined], views: Mapping[str, View]) -> list[Finding]:
    """A finding for each classifier whose maps could not be taken of the largest image after its training."""
    sizes = mapped_sizes(listing.entries, examined)
    return [Finding("large image", f"{found}; {fix}") for found, fix in excesses(sizes, views)]


def _record(entry: Entry, examined: Examined) -> Record:
    mask = None if entry.mask is None else str(entry.mask)
    return Record(
        entry.id, str(entry.image), mask, examined.height, examined.width, entry.classes, entry.splits
    )


def _log_summary(dataset: str, listing: Listing) -> None:
    sizes = {
        split: sum(split in entry.splits for entry in listing.entries)
        for split in ("train", "masked", "val", "test")
    }
    log.info("data set %r: %d classes, images %s", dataset, len(listing.classes), sizes)
    if not sizes["masked"]:
        log.warning("no training image has a mask: seeds and pseudo labels cannot be scored")
