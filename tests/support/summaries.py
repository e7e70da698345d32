"""Scores of runs as files, for the stages that summarise them."""

from pathlib import Path
from typing import Any

from wsss.artefacts.formats import write_json


def scores(miou: float | None) -> dict[str, Any]:
    per_class = [{"class": name, "iou": miou, "fp": 0.1, "fn": None} for name in ("background", "cat")]
    means = {"mean_fp": 0.1, "mean_fn": 0.2, "pixel_accuracy": 0.9, "f1": 0.5}
    return {"miou": miou, **means, "per_class": per_class}


def document(seed: int, miou: float | None, **more: Any) -> dict[str, Any]:
    scope = {
        "dataset": "tiny",
        "unit": "fraction of 1",
        "split": "masked",
        "images": 3,
        "measured": "something",
    }
    supervision = {"initial_supervision": {"classifier": "image labels"}, "pixel_labels_used": False}
    return {**scope, **supervision, "run": seed, **scores(miou), **more}


def write(folder: Path, name: str, documents: list[dict[str, Any]]) -> list[Path]:
    paths = [folder / f"{name}{number}.json" for number in range(len(documents))]
    for path, content in zip(paths, documents, strict=True):
        write_json(path, content)
    return paths
