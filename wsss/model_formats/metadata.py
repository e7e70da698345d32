"""What an exported file says of itself: what goes in and out, the classes, and the network's origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wsss.artefacts.files import PathLike, digest
from wsss.artefacts.formats import Values
from wsss.artefacts.predictors import DESCRIPTION, WEIGHTS
from wsss.config.inferences import SEGMENTER

INPUT = "images: uint8 (batch, height, width, 3), RGB, 0 to 255, any size; normalised inside"
OUTPUT = "probabilities: float32 (batch, classes, height, width), at the images' size"
SEGMENTER_PASS = "the network at the images' size, without mirror images, further scales or CRF"
SINGLE_STAGE_PASS = (
    "each image resized to a square, as by Pillow's bicubic filter, and scores resized back; no CRF"
)
SINGLE_STAGE = ("side", "source")  # settings of its inference that are part of the graph


def metadata(folder: PathLike, description: Values) -> dict[str, str]:
    """Of a predictor's export; text that is not plain is JSON.

    Args:
        folder: The predictor's folder.
        description: What ``predictor.json`` says.
    """
    labels, network = description["labels"], description["network"]
    kind, inference = description["kind"], description["inference"]
    segmenter = kind == SEGMENTER
    own = {} if segmenter else {name: inference[name] for name in SINGLE_STAGE}
    values = {
        "kind": kind,
        "classes": [entry["class"] for entry in labels],
        "colours": [entry["colour"] for entry in labels],
        "input": INPUT,
        "output": OUTPUT,
        "pass": SEGMENTER_PASS if segmenter else SINGLE_STAGE_PASS,
        "mean": network["mean"],
        "std": network["std"],
        **own,
        "dataset": description["dataset"],
        "supervision": description["training"]["supervision"],
        "pixel_labels_used": description["pixel_labels_used"],
        "licence_of_initial_weights": description["initial_weights"]["licence"],
        "predictor_sha256": digest(Path(folder) / DESCRIPTION),
        "weights_sha256": digest(Path(folder) / WEIGHTS),
    }
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
