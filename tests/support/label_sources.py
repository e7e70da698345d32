"""Folders of label maps as a run and as a prediction leave them, and a label map worked by hand."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from wsss.artefacts.formats import (
    Labels,
    Manifest,
    Record,
    label_path,
    palette,
    write_labels,
    write_manifest,
    write_mask,
)

NAMES = ("cat", "dog", "owl")
# A cat with a hole, a dog beside it, and a pixel of which nothing is known.
TINY: Labels = np.array([[0, 1, 1, 1, 0], [0, 1, 0, 1, 2], [0, 1, 1, 1, 2], [0, 0, 0, 0, 255]], np.uint8)
PSEUDO = Path("run0", "net", "cam", "none", "pseudo")


def scene(seed: int, size: tuple[int, int] = (37, 45)) -> Labels:
    """Blocks of all labels, void too, some in holes of others, and single pixels strewn over them."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = rng.choice([0, 1, 2, 3, 255], (-(-height // 6), -(-width // 6)))
    label = np.kron(coarse, np.ones((6, 6), int))[:height, :width]
    label[10:30, 10:30] = 1
    label[14:26, 14:26] = 0
    label[18:22, 18:22] = 2
    strewn = rng.random(size) < 0.05
    label[strewn] = rng.choice([0, 1, 2, 3, 255], size)[strewn]
    return label.astype(np.uint8)


def scenes() -> dict[str, Labels]:
    """Label maps by id: the tiny one, one without any class, and four of many sizes."""
    sizes = [(37, 45), (64, 33), (31, 31), (40, 60)]
    others = {f"img {number}": scene(number, size) for number, size in enumerate(sizes)}
    return {"tiny": TINY, "part/empty": np.zeros((5, 7), np.uint8), **others}


def pictures(folder: Path, labels: Mapping[str, Labels]) -> None:
    """Write a grey picture of each label map's size."""
    for name, label in labels.items():
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", label.shape[::-1], "grey").save(path)


def run(root: Path, labels: Mapping[str, Labels], dataset: str = "toy", below: Path = PSEUDO) -> Path:
    """Write a run in two shards below ``root/results`` and its pictures; returns the folder of label maps."""
    pictures(root / "pictures", labels)
    records = [
        Record(name, f"pictures/{name}.jpg", None, *label.shape, (), ("train", "val"))
        for name, label in labels.items()
    ]
    results = root / "results" / dataset
    write_manifest(results / "manifest.jsonl", Manifest(dataset, NAMES, tuple(records)))
    for number in (0, 1):
        part = results / below / f"{number:03d}of002"
        params = {"split": below.parts[-3]} if below.name == "masks" else {}
        write_labels(part, part.with_name(f"{part.name}.jsonl"), list(labels.items())[number::2], params)
    return results / below


def prediction(folder: Path, labels: Mapping[str, Labels]) -> Path:
    """Write a folder of predictions with its legend; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, label in labels.items():
        path = label_path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mask(path, label)
    rows = [
        f"{label},{name},{','.join(map(str, palette()[label]))}"
        for label, name in enumerate(("background", *NAMES))
    ]
    (folder / "legend.csv").write_text("\n".join(["label,class,red,green,blue", *rows]) + "\n")
    return folder
