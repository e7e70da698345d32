"""Score a segmentation network under every configured way of inference, each by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsss.artefacts import ArtefactError, PathLike, open_tensors, read_manifest, write_json
from wsss.stages.scoring import add_counts, chain_weights, score_fields, statement

SPLIT = "val"


def run(
    *,
    manifest: PathLike,
    counts: Sequence[PathLike],
    weights: PathLike,
    segmenter_weights: PathLike,
    scores: PathLike,
    inferences: Mapping[str, Mapping[str, Any]],
    main: str,
    irn_weights: PathLike | None = None,
) -> None:
    """Derive the scores of all ways of inference; the main one's stand at the top of the file.

    Args:
        manifest: The data set.
        counts: Counts of all shards of all inferences, in any order.
        weights: The classifier's weights; all weights are read for what they started from.
        segmenter_weights: The segmentation network's weights.
        scores: Where to write the metrics.
        inferences: Settings (scales, mirror, crf) by name.
        main: Name of the inference whose scores count.
        irn_weights: IRNet's weights, where one refined the maps.
    """
    data = read_manifest(manifest)
    if main not in inferences:
        raise ValueError(f"main inference: expected one of {sorted(inferences)}, found {main!r}")
    trained = chain_weights(weights, irn_weights, segmenter=segmenter_weights)
    groups = _by_settings(counts)
    parts: dict[str, dict[str, Any]] = {}
    for name, settings in inferences.items():
        total = add_counts(_find(groups, name, settings))
        result = statement(data, SPLIT, total.images, trained)
        parts[name] = {**settings, **score_fields(total.matrices[0], result["classes"])}
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


def _by_settings(counts: Sequence[PathLike]) -> list[tuple[dict[str, Any], list[PathLike]]]:
    """Group counts by the inference settings that their own header names, so that no order is relied on."""
    groups: list[tuple[dict[str, Any], list[PathLike]]] = []
    for path in counts:
        with open_tensors(path, "counts") as shard:
            settings = shard.params["inference"]
        for known, paths in groups:
            if known == settings:
                paths.append(path)
                break
        else:
            groups.append((settings, [path]))
    return groups


def _find(
    groups: Sequence[tuple[dict[str, Any], list[PathLike]]], name: str, settings: Mapping[str, Any]
) -> list[PathLike]:
    for known, paths in groups:
        if known == dict(settings):
            return paths
    raise ArtefactError(
        f"inference {name!r}: no counts were made with {dict(settings)}; remove its masks and run again"
    )
