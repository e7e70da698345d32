"""The training stages at sizes of a second: their data, settings and calls."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsss.artefacts.formats import Manifest, Record, write_labels, write_manifest
from wsss.stages.classify import train_classifier
from wsss.stages.irn import train_irn
from wsss.stages.segment import train_segmenter

COLOURS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
RANDOM = {"supervision": "none", "pixel_labels": False}
NANO = {
    "kind": "conformer",
    "variant": "nano",
    "output_stride": 8,
    "stop_gradient": True,
    "drop_path": 0.0,
    **COLOURS,
}
THIN = {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 16}
IRN = {"backbone": THIN, "displacement": False, **COLOURS}
DEEPLAB = {"backbone": THIN, "rates": [1, 2], "multi_scale": [0.5], "loss": "cross_entropy", **COLOURS}
CLASSIFIER_TRAINING = {
    "epochs": 2,
    "batch": 2,
    "accumulate": 1,
    "crop": 32,
    "rescale": [32, 48],
    "vit_lr": 1e-3,
    "vit_power": 0,
    "cnn_lr": 1e-3,
    "cnn_power": 0.9,
    "weight_decay": 5e-4,
    "precision": "full",
}
IRN_TRAINING = {
    "epochs": 2,
    "batch": 3,
    "accumulate": 1,
    "crop": 32,
    "scale": [0.5, 1.5],
    "radius": 3,
    "lr": 0.1,
    "displacement_lr": 1.0,
    "momentum": 1e-4,
    "weight_decay": 1e-4,
    "power": 0.9,
    "precision": "full",
}
SEGMENTER_TRAINING = {
    "iterations": 4,
    "batch": 2,
    "accumulate": 2,
    "crop": 33,
    "scale": [0.5, 1.5],
    "lr": 1e-3,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "power": 0.9,
    "lr_step": 2,
    "precision": "full",
}


def make_labelled(folder: Path) -> dict[str, Any]:
    """Five images of two classes with label maps in two shards, as arguments of a stage."""
    generator = np.random.default_rng(0)
    records, labels = [], []
    for number in range(5):
        height, width = generator.integers(40, 49, 2).tolist()
        image = folder / f"{number}.png"
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(image)
        classes = (number % 2,)
        records.append(Record(str(number), str(image), None, height, width, classes, ("train",)))
        label = np.zeros((height, width), np.uint8)
        label[10:30, 10:30] = classes[0] + 1
        label[:5] = 255
        labels.append((str(number), label))
    write_manifest(folder / "manifest.jsonl", Manifest("toy", ("a", "b"), tuple(records)))
    folders = [folder / "labels" / name for name in ("000of002", "001of002")]
    indexes = [path.with_name(f"{path.name}.jsonl") for path in folders]
    for shard, (path, index) in enumerate(zip(folders, indexes, strict=True)):
        write_labels(path, index, labels[shard::2])
    return {"manifest": folder / "manifest.jsonl", "labels": folders, "indexes": indexes}


def outputs(folder: Path) -> dict[str, Path]:
    return {"weights": folder / "weights.safetensors", "history": folder / "history.csv"}


def classify(folder: Path, data: Mapping[str, Any], **changes: Any) -> Path:
    settings = {
        "network": NANO,
        "initial": RANDOM,
        "training": CLASSIFIER_TRAINING,
        "seed": 1,
        **outputs(folder),
    }
    train_classifier.run(manifest=data["manifest"], **{**settings, **changes})
    return folder


def refine(folder: Path, data: Mapping[str, Any], **changes: Any) -> Path:
    settings = {"network": IRN, "initial": RANDOM, "training": IRN_TRAINING, "seed": 1, **outputs(folder)}
    train_irn.run(**{**data, **settings, **changes})
    return folder


def segment(folder: Path, data: Mapping[str, Any], **changes: Any) -> Path:
    settings = {
        "network": DEEPLAB,
        "initial": RANDOM,
        "training": SEGMENTER_TRAINING,
        "seed": 1,
        **outputs(folder),
    }
    train_segmenter.run(**{**data, **settings, **changes})
    return folder
