"""Score a segmentation network under every configured way of inference, each by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsss.artefacts.formats import PathLike, Values, read_manifest, write_json
from wsss.evaluation.counts import chain_weights, score_inferences

SPLIT = "val"


def run(
    *,
    manifest: PathLike,
    counts: Sequence[PathLike],
    segmenter_weights: PathLike,
    scores: PathLike,
    inferences: Mapping[str, Values],
    main: str,
    weights: PathLike | None = None,
    irn_weights: PathLike | None = None,
) -> None:
    """Derive the scores of all ways of inference; the main one's stand at the top of the file.

    Args:
        manifest: The data set.
        counts: Counts of all shards of all inferences, in any order.
        segmenter_weights: The segmentation network's weights; all weights are read for what they have seen.
        scores: Where to write the metrics.
        inferences: Settings (scales, mirror, crf) by name.
        main: Name of the inference whose scores count.
        weights: The classifier's weights; None for an upper bound, trained on the images' masks.
        irn_weights: IRNet's weights, where one refined the maps.
    """
    trained = {"segmenter": segmenter_weights}
    if weights is not None:
        trained = chain_weights(weights, irn_weights, **trained)
    result, parts = score_inferences(read_manifest(manifest), SPLIT, counts, trained, inferences, main)
    write_json(
        scores,
        {
            **result,
            "measured": "predictions of the segmentation network, made without image labels",
            "inference": main,
            **parts[main],
            "inferences": parts,
        },
    )
