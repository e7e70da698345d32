"""Which images of a split stand for it in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from wsss.artefacts.formats import ArtefactError, Manifest, Record


def example_records(data: Manifest, ids: Sequence[str], count: int) -> list[Record]:
    """The images with these ids in their order, or so many chosen ones where there is no id.

    Raises:
        ArtefactError: For an id that the data set does not have; it names the nearest.
    """
    if not ids:
        return choose(data.split("masked") or data.split("train"), count)
    records = {record.id: record for record in data.records}
    for absent in (name for name in ids if name not in records):
        near = get_close_matches(absent, records, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ", which are paths below its images"
        raise ArtefactError(
            f"datasets.{data.dataset}.examples.images: expected ids of the data set, found {absent!r}{meant}"
        )
    return [records[name] for name in ids]


def choose(records: Sequence[Record], count: int) -> list[Record]:
    """Images with several classes and with one, half of each where possible, evenly over the split."""
    several = [record for record in records if len(record.classes) > 1]
    single = [record for record in records if len(record.classes) == 1]
    most = max(count // 2, count - len(single))
    chosen = spaced(several, most)
    chosen += spaced(single, count - len(chosen))
    if not chosen:
        raise ArtefactError("no image of the split has a class: there is nothing to draw")
    return chosen


def spaced(records: Sequence[Record], count: int) -> list[Record]:
    """So many of the records, or all if there are fewer, evenly over them."""
    count = min(count, len(records))
    return [records[(2 * index + 1) * len(records) // (2 * count)] for index in range(count)]
