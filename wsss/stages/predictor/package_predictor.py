"""Package a trained network as a folder that labels pictures by itself, with what is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from wsss.artefacts.formats import Manifest, PathLike, Values, open_arrays, read_json, read_manifest
from wsss.artefacts.predictors import label_entries, write_predictor
from wsss.config.inferences import checked_inference, checked_network
from wsss.methods.metric_table import SHOWN
from wsss.models.colours import with_colours
from wsss.pretrained.licences import licence
from wsss.report.model_card import model_card

SIDES = ("height", "width")
SCORES = ("split", "images", "truth", "truth_ignored", "unit", "means", "inference", "measured", "per_class")


def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    folder: PathLike,
    kind: str,
    network: dict[str, Any],
    inference: dict[str, Any],
    labels: Values,
    scores: PathLike | None = None,
    ancestors: Sequence[PathLike] = (),
) -> None:
    """Write the predictor.

    Args:
        manifest: The data set that the network was trained on.
        weights: The network's weights.
        folder: Where to write the predictor.
        kind: Kind of the network, see :func:`wsss.prediction.scorers.load_scorer`.
        network: Its settings.
        inference: The settings of the inference that its score counts by; its ``crf`` is applied to new
            pictures, too.
        labels: How its training labels came about: ``system``, the folder's names along the chain, and
            ``threshold`` and ``crf`` of the pseudo labels, where there are any, and ``long_side``, the pixels
            of the longer side at which larger pictures are read, where the data set has it.
        scores: The metrics file of this network; None where the data set has no masks to score it by.
        ancestors: Weights of the networks that made its training labels.
    """
    data = read_manifest(manifest)
    trained = _training(weights)
    networks = [trained, *map(_training, ancestors)]
    description = {
        "kind": kind,
        "dataset": data.dataset,
        "labels": label_entries(data.classes),
        "network": with_colours(checked_network(kind, network)).model_dump(),
        "inference": checked_inference(kind, inference).model_dump(),
        "training": {**_training_images(data), **labels, "run": trained["seed"]},
        "initial_weights": {**trained["initial"], "licence": licence(trained["initial"])},
        "pixel_labels_used": any(_pixel_labels(part) for part in networks),
        "scores": None if scores is None else _scores(read_json(scores)),
    }
    write_predictor(folder, description, weights, model_card(description))


def _training(weights: PathLike) -> dict[str, Any]:
    with open_arrays(weights, "weights") as shard:
        return shard.params


def _training_images(data: Manifest) -> dict[str, Any]:
    records = data.split("train")
    shown = Counter(name for record in records for name in record.classes)
    return {
        "images": len(records),
        "images_by_class": {name: shown[number] for number, name in enumerate(data.classes)},
        "median_size": [int(median(getattr(record, side) for record in records)) for side in SIDES],
    }


def _pixel_labels(trained: Values) -> bool:
    return any(bool(part.get("pixel_labels")) for part in (trained["initial"], trained.get("labels", {})))


def _scores(document: Values) -> dict[str, Any]:
    """Of a metrics file, what it scored and what that was measured on."""
    return {name: document[name] for name in (*SHOWN, *SCORES) if name in document}
