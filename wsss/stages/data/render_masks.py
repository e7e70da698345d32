"""Draw the label maps of a data set with COCO's instance annotations, once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import validate_call

from wsss.artefacts.files import PathLike, atomic_folder
from wsss.artefacts.formats import write_mask
from wsss.config.datasets import CocoData
from wsss.data.checks import data_error
from wsss.data.coco import Drawing, check_paths, coco_splits, mask_path, read_annotations, render_mask
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.progress import progress
from wsss.runtime.threads import thread_count


@validate_call
def run(*, source: PathLike, settings: CocoData) -> None:
    """Write ``masks/<split>/<id>.png`` for every annotated image, also for those without an object.

    Args:
        source: Folder to write.
        settings: Where its parts lie.
    """
    absent = check_paths(settings)
    if absent:
        raise data_error(settings.root, absent)
    with atomic_folder(source) as folder:
        for split in coco_splits(settings):
            drawings = list(read_annotations(settings, split).drawings.values())
            draw = partial(_draw, folder, split)
            results = parallel_map(draw, drawings, thread_count())
            for _ in progress(results, len(drawings), f"masks of {split}"):
                pass


def _draw(folder: Path, split: str, drawing: Drawing) -> None:
    write_mask(mask_path(folder, split, drawing.id), render_mask(drawing))
