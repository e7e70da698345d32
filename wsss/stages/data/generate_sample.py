"""Paint the generated data set: a ``folder`` data set of images, masks and a table of labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import validate_call

from wsss.artefacts.files import PathLike, atomic_folder
from wsss.artefacts.formats import write_mask
from wsss.config.datasets import SampleData
from wsss.data.generated import SAMPLE_CLASSES, Scene, sample_scenes
from wsss.data.records import SPLITS
from wsss.runtime.progress import progress


@validate_call
def run(*, source: PathLike, settings: SampleData) -> None:
    """Write ``images/``, ``masks/`` and ``labels.csv``; the same settings give the same bytes.

    Args:
        source: Folder to write.
        settings: Seed, number of images a split, and side.
    """
    total = settings.train + settings.val + settings.test
    with atomic_folder(source) as folder:
        (folder / "images").mkdir()
        rows = []
        for name, split, scene in progress(_scenes(settings), total, "painting images"):
            Image.fromarray(scene.image).save(folder / "images" / f"{name}.png")
            write_mask(folder / "masks" / f"{name}.png", scene.mask)
            rows.append([name, split, *(int(index in scene.classes) for index in range(len(SAMPLE_CLASSES)))])
        _write_rows(folder / "labels.csv", rows)


def _scenes(settings: SampleData) -> Iterator[tuple[str, str, Scene]]:
    counts = (settings.train, settings.val, settings.test)
    for number, (split, count) in enumerate(zip(SPLITS, counts, strict=True)):
        scenes = sample_scenes(settings.seed, number, count, settings.side)
        for position, scene in enumerate(scenes):
            yield f"{split}_{position:04d}", split, scene


def _write_rows(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "split", *SAMPLE_CLASSES])
        writer.writerows(rows)
