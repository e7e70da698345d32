"""Draw the threshold curve of class maps."""

from __future__ import annotations

from wsss.artefacts.formats import PathLike, read_json, read_table
from wsss.report.figures import save, threshold_curve


def run(*, curve: PathLike, scores: PathLike, figure: PathLike) -> None:
    """Draw mIoU, FP and FN against the threshold, with the best and the configured one marked.

    Where each image has its own threshold their mean is marked; its score lies on none of the curves.

    Args:
        curve: The sweep's table.
        scores: Metrics of the same maps, which name the two thresholds.
        figure: Where to write the picture, an SVG.
    """
    result = read_json(scores)
    best = None if result["miou"] is None else result["threshold"]
    title = f"{result['dataset']}, split {result['split']}, {result['images']} images"
    configured = result["configured"]
    name = configured.get("threshold_rule", "configured") + (
        ", mean" if "threshold_deviation" in configured else ""
    )
    save(threshold_curve(read_table(curve), best, configured["threshold"], title, name), figure)
