"""Gather the single-stage network's scores over its runs: mean, deviation and each run."""

from __future__ import annotations

from collections.abc import Sequence

from wsss.artefacts.formats import PathLike, write_json
from wsss.stages.evaluate.summarise_runs import summary


def run(
    *,
    runs: Sequence[int],
    seed_scores: Sequence[PathLike],
    pseudo_scores: Sequence[PathLike],
    segmentation: Sequence[PathLike],
    scores: PathLike,
) -> None:
    """Summarise the runs; the segmentation's scores stand at the top of the file, too.

    Args:
        runs: Their numbers.
        seed_scores: Metrics of the patch maps, one file per run, in the runs' order.
        pseudo_scores: Metrics of the masks predicted for the training images.
        segmentation: Metrics of the predictions for val.
        scores: Where to write the summary.
    """
    files = {"seed": seed_scores, "pseudo": pseudo_scores, "segmentation": segmentation}
    write_json(scores, summary(runs, files))
