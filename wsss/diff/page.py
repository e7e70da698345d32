"""A comparison as one page that holds everything it needs, with the most different images side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.files import PathLike, atomic_file
from wsss.artefacts.formats import palette, read_image, read_mask
from wsss.diff.comparison import Comparison, Finding, classes_of, data_folder, manifest_of
from wsss.diff.findings import percent, size
from wsss.diff.labels import label_files, label_name
from wsss.diff.pairing import Parts
from wsss.diff.tensors import opened, shared_maps
from wsss.diff.text import SCORES, STAGES, score_rows, sentences, stage_rows
from wsss.methods.void import VOID
from wsss.report.pictures import heat_uri, label_uri, photo_uri

HERE = Path(__file__).parent
STYLE = HERE.parent / "report" / "page.css"

# Of an image: how far its sides are apart in words, its pictures' height and width, the pictures by caption.
Pictures = tuple[str, tuple[int, ...], dict[str, str]]


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
        scores=score_rows(comparison),
        sections=[_section(finding) for finding in comparison.findings if finding.difference.worst],
    )
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _section(finding: Finding) -> dict[str, Any]:
    """The most different images of one output."""
    unit, pictures = finding.unit, _label_pictures if finding.form == "labels" else _map_pictures
    iou = finding.difference.amounts.get("iou", {})
    cards = [
        {
            "image": image,
            "apart": apart,
            "photo": _photo(unit.a, image),
            "ratio": f"{shape[1]}/{shape[0]}",
            "tiles": tiles,
        }
        for image, (apart, shape, tiles) in zip(finding.difference.worst, pictures(finding), strict=True)
    ]
    legend = _legend(iou, classes_of(unit.a))
    head = {"rule": unit.rule, "place": unit.place, "amounts": finding.difference}
    return {**head, "cards": cards, "iou": iou, "legend": legend}


def _legend(iou: Mapping[str, float], classes: Sequence[str]) -> dict[str, str]:
    """Colours of the labels that occur, by their names; background is clear and void white."""
    labels = {label_name(label, classes): label for label in range(1, VOID)}
    colours = palette()
    return {name: "rgb({} {} {})".format(*colours[labels[name]]) for name in iou if name in labels}


def _label_pictures(finding: Finding) -> Iterator[Pictures]:
    files = [label_files(parts) for parts in (finding.unit.a, finding.unit.b)]
    for image, apart in finding.difference.worst.items():
        a, b = (read_mask(paths[image]) for paths in files)
        tiles = {"A": label_uri(a), "B": label_uri(b), "where they disagree": _heat(a != b)}
        yield f"{percent(apart)} of the pixels disagree", a.shape, tiles


def _map_pictures(finding: Finding) -> Iterator[Pictures]:
    with opened(finding.unit.a, "maps") as one, opened(finding.unit.b, "maps") as other:
        for image, mean in finding.difference.worst.items():
            maps = shared_maps(one, other, image)
            assert maps is not None  # only images that could be laid on each other are kept
            a, b = (part.float() for part in maps)
            apart = (a - b).abs().amax(0).numpy()
            highest = float(apart.max())
            tiles = {
                "A": _heat(a.amax(0).numpy()),
                "B": _heat(b.amax(0).numpy()),
                f"difference, brightest {size(highest)}": _heat(apart / highest),
            }
            yield f"mean difference {size(mean)}", apart.shape, tiles


def _heat(values: NDArray[Any]) -> str:
    return heat_uri(values.astype(np.float32))


def _photo(parts: Parts, image: str) -> str | None:
    """An image's photograph as a data URI, None where it is not found."""
    folder, data = data_folder(parts), manifest_of(parts)
    record = next((record for record in data.records if record.id == image), None) if data else None
    path = _find(record.image, folder) if record and folder else None
    return photo_uri(read_image(path)) if path else None


def _find(path: str, folder: Path) -> Path | None:
    """A file that a manifest names: as it says, or from where the data set's results now lie."""
    inside = path.partition(f"/{folder.name}/")[2]
    candidates = [Path(path), folder.parent.parent / path, *([folder / inside] if inside else [])]
    return next((candidate for candidate in candidates if candidate.is_file()), None)
