"""A comparison as one page that holds everything it needs, with the most different images side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jinja2
import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.files import PathLike, atomic_file
from wsss.artefacts.formats import Labels, palette, read_image, read_mask
from wsss.diff.comparison import Comparison, Finding, classes_of, manifest_of
from wsss.diff.findings import Worst, percent, size
from wsss.diff.labels import label_files, label_name
from wsss.diff.pairing import Parts, within
from wsss.diff.tensors import both, shared_maps
from wsss.diff.text import SCORES, STAGES, score_row, sentences, shown_scores, stage_row, stage_rows
from wsss.methods.void import VOID
from wsss.report.pictures import heat_uri, label_uri, photo_uri

HERE = Path(__file__).parent
STYLE = HERE.parent / "report" / "page.css"


class Tile(NamedTuple):
    """A picture and what it shows."""

    caption: str
    picture: str  # data URI


class Card(NamedTuple):
    """One image of a stage: the photograph where it was found, and both sides with their difference."""

    image: str
    apart: str
    photo: str | None
    ratio: str
    tiles: Sequence[Tile]


# An image of a stage, how far its sides are apart in words, its pictures' height and width, and the pictures.
Pictures: TypeAlias = tuple[Worst, str, tuple[int, ...], Sequence[Tile]]


class Section(NamedTuple):
    """The most different images of one output."""

    rule: str
    place: str
    amounts: str
    cards: Sequence[Card]
    iou: Mapping[str, float]
    legend: Mapping[str, str]


def write_page(path: PathLike, comparison: Comparison) -> None:
    """Write the page.

    Args:
        path: Where to write it, HTML.
        comparison: What was found; the most different images are read again from its files.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string((HERE / "page.html").read_text(encoding="utf-8")).render(
        style=STYLE.read_text(encoding="utf-8"),
        a=comparison.a,
        b=comparison.b,
        sentences=sentences(comparison),
        stage_titles=STAGES,
        stages=stage_rows(comparison),
        score_titles=SCORES,
        scores=[score_row(score) for score in shown_scores(comparison.scores)],
        sections=list(_sections(comparison)),
    )
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sections(comparison: Comparison) -> Iterator[Section]:
    for finding in comparison.findings:
        if not finding.difference.worst:
            continue
        rule, place, _, amounts = stage_row(finding)
        iou = finding.difference.amounts.get("iou", {})
        cards = [
            Card(worst.image, apart, _photo(finding.unit.a, worst.image), f"{shape[1]}/{shape[0]}", tiles)
            for worst, apart, shape, tiles in PICTURES[finding.form](finding)
        ]
        yield Section(rule, place, amounts, cards, iou, _legend(iou, classes_of(finding.unit.a)))


def _legend(iou: Mapping[str, float], classes: Sequence[str]) -> dict[str, str]:
    """Colours of the labels that occur, by their names; background is clear and void white."""
    labels = {label_name(label, classes): label for label in range(1, VOID)}
    colours = palette()
    return {name: "rgb({} {} {})".format(*colours[labels[name]]) for name in iou if name in labels}


def _label_pictures(finding: Finding) -> Iterator[Pictures]:
    files = [label_files(parts) for parts in (finding.unit.a, finding.unit.b)]
    for worst in finding.difference.worst:
        a, b = (read_mask(paths[worst.image]) for paths in files)
        yield _of_labels(worst, a, b)


def _mask_pictures(finding: Finding) -> Iterator[Pictures]:
    a, b = (read_mask(parts[""]) for parts in (finding.unit.a, finding.unit.b))
    yield _of_labels(finding.difference.worst[0], a, b)


def _of_labels(worst: Worst, a: Labels, b: Labels) -> Pictures:
    tiles = [Tile("A", label_uri(a)), Tile("B", label_uri(b)), Tile("where they disagree", _heat(a != b))]
    return worst, f"{percent(worst.difference)} of the pixels disagree", a.shape, tiles


def _map_pictures(finding: Finding) -> Iterator[Pictures]:
    with both(finding.unit.a, finding.unit.b, "maps") as sides:
        for worst in finding.difference.worst:
            maps = shared_maps(*sides, worst.image)
            if maps is None:  # never so: only images that could be laid on each other are kept
                continue
            a, b = (part.float().amax(0).numpy() for part in maps)
            apart = (maps[0].float() - maps[1].float()).abs().amax(0).numpy()
            highest = float(apart.max())
            tiles = [
                Tile("A", _heat(a)),
                Tile("B", _heat(b)),
                Tile(f"difference, brightest {size(highest)}", _heat(apart / highest)),
            ]
            yield worst, f"mean difference {size(worst.difference)}", a.shape, tiles


def _heat(values: NDArray[Any]) -> str:
    return heat_uri(values.astype(np.float32))


PICTURES: dict[str, Callable[[Finding], Iterator[Pictures]]] = {
    "labels": _label_pictures,
    "mask": _mask_pictures,
    "maps": _map_pictures,
}


def _photo(parts: Parts, image: str) -> str | None:
    """An image's photograph as a data URI, None where it is not found."""
    (folder, _), data = within(next(iter(parts.values()))), manifest_of(parts)
    record = next((record for record in data.records if record.id == image), None) if data else None
    path = _find(record.image, folder) if record and folder else None
    return photo_uri(read_image(path)) if path else None


def _find(path: str, folder: Path) -> Path | None:
    """A file that a manifest names: as it says, or from where the data set's results now lie."""
    inside = path.partition(f"/{folder.name}/")[2]
    candidates = [Path(path), folder.parent.parent / path, *([folder / inside] if inside else [])]
    return next((candidate for candidate in candidates if candidate.is_file()), None)
