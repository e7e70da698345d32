"""Score the single-stage network's predictions under every configured way of inference, each by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsss.artefacts.formats import PathLike, Values, read_manifest, write_json
from wsss.evaluation.counts import score_inferences

MEASURED = {
    False: "predictions of the single-stage network, made without image labels",
    True: "predictions of the single-stage network, classes restricted to the image's labels",
}


def run(
    *,
    manifest: PathLike,
    counts: Sequence[PathLike],
    weights: PathLike,
    scores: PathLike,
    kind: str,
    inferences: Mapping[str, Values],
    main: str,
    split: str,
) -> None:
    """Derive the scores of all ways of inference; the main one's stand at the top of the file.

    Args:
        manifest: The data set.
        counts: Counts of all shards of all inferences, in any order.
        weights: The network's weights, read for what they started from.
        scores: Where to write the metrics.
        kind: The method, a key of :data:`wsss.single_stage.registry.METHODS`.
        inferences: Settings (side, tags, crf, source) by name.
        main: Name of the inference whose scores count; where the split is not trained on, one without tags.
        split: ``val``, or ``train`` for the masks that are made of the training images.
    """
    data = read_manifest(manifest)
    result, parts = score_inferences(data, split, counts, {kind: weights}, inferences, main)
    if split != "train" and inferences[main]["tags"]:
        raise ValueError(
            f"main inference {main!r}: expected one without tags, which are unknown on {split!r}; "
            "a score with tags may only stand beside it"
        )
    named = {name: {**part, **_tags_used(inferences[name])} for name, part in parts.items()}
    write_json(scores, {**result, "inference": main, **named[main], "inferences": named})


def _tags_used(settings: Values) -> dict[str, Any]:
    used = bool(settings["tags"])
    return {"measured": MEASURED[used], "image_tags_used": used}
