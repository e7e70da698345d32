"""Which images of a split stand for it in a picture."""

from __future__ import annotations

from collections.abc import Sequence

from wsss.artefacts.formats import ArtefactError, Record


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
