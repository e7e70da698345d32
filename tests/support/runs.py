"""Small runs of a chain on disk, written as its stages do, for the tests of their comparison."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from wsss.artefacts.formats import (
    Manifest,
    Record,
    write_json,
    write_labels,
    write_manifest,
    write_table,
    write_tensors,
)
from wsss.artefacts.identity import Identity, making

CLASSES = ("cat", "dog", "owl")
SIZE = (24, 32)
SCORES = ("miou", "mean_fp", "mean_fn", "pixel_accuracy", "f1")


@dataclass
class Run:
    """What makes one run; change a field to make another.

    Attributes:
        folder: Where Snakemake ran.
        images: Number of images.
        shards: Number of shards.
        lr: Of the classifier.
        steps: Of the diffusion.
        weight: What the classifier's weights are filled with.
        brighter: Added to the maps of the first image.
        shift: Cells by which the label maps are moved to the right.
        miou: Score of each run.
        code: Of every stage, by its name.
    """

    folder: Path
    images: int = 4
    shards: int = 2
    lr: float = 0.1
    steps: int = 2
    weight: float = 1.0
    brighter: float = 0.0
    shift: int = 0
    miou: Mapping[int, float] = field(default_factory=lambda: {0: 0.5})
    code: Mapping[str, str] = field(default_factory=dict)
    classes: Sequence[str] = CLASSES
    source: str = "results/toy/source"

    @property
    def data(self) -> Path:
        return self.folder / "results" / "toy"

    def path(self, name: str) -> Path:
        return self.data / name

    def names(self) -> list[str]:
        return [f"{shard:03d}of{self.shards:03d}" for shard in range(self.shards)]

    def write(self) -> Path:
        """Write everything; returns the data set's folder."""
        self.manifest = self._manifest()
        for run, miou in self.miou.items():
            self._run(run, miou)
        runs = {name: {"mean": 0.0, "deviation": None, "runs": [*self.miou.values()]} for name in SCORES}
        summary = {"form": "summary", "runs": [*self.miou], "stages": {"segmentation": runs}, **runs}
        with self._job("summarise_runs"):
            write_json(self.path("seg_miou.json"), summary)
        return self.data

    def _manifest(self) -> Manifest:
        rng = np.random.default_rng(0)
        records = []
        for number in range(self.images):
            name = f"part/{number}" if number == 1 else f"img{number}"
            path = self.path(f"source/images/{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(path)
            present = (number % len(self.classes),)
            records.append(
                Record(name, f"{self.source}/images/{number}.png", None, *SIZE, present, ("train", "val"))
            )
        manifest = Manifest("toy", tuple(self.classes), tuple(records))
        with self._job("prepare_manifest"):
            write_manifest(self.path("manifest.jsonl"), manifest)
        return manifest

    def _run(self, run: int, miou: float) -> None:
        base = self.path(f"run{run}/small")
        weights = base / "weights.safetensors"
        self._weights(weights, run)
        for shard in self.names():
            cams, maps = base / f"cams/{shard}.safetensors", base / f"adcam/none/maps/{shard}.safetensors"
            self._cams(cams, weights, shard)
            self._maps(maps, cams, shard)
            self._labels(base / f"adcam/none/pseudo/{shard}", maps, shard)
            self._counts(base / f"adcam/none/pseudo_counts/{shard}.safetensors", shard)
        self._scores(base / "adcam/none/pseudo_miou.json", run, miou)

    def _weights(self, path: Path, seed: int) -> None:
        params = {"training": {"lr": self.lr}, "seed": seed, "network": {"kind": "toy"}}
        tensors = {"conv.weight": torch.full((3, 4), self.weight + seed), "bn.steps": torch.tensor(7)}
        with self._job("train_classifier", path, **params):
            write_tensors(path, "weights", tensors, params, {"manifest": self.path("manifest.jsonl")})
        table = pd.DataFrame({"iteration": [1, 2], "loss": [1.0, self.weight]})
        write_table(path.with_name("history.csv"), table)

    def _cams(self, path: Path, weights: Path, shard: str) -> None:
        tensors: dict[str, Tensor] = {}
        for record in self.manifest.shard("train", shard):
            tensors[f"{record.id}/classes"] = torch.tensor(record.classes)
            tensors[f"{record.id}/cam0"] = torch.full((1, 3, 4), self.weight).half()
        inputs = {"manifest": self.path("manifest.jsonl"), "weights": weights}
        with self._job("extract_maps", path):
            write_tensors(path, "views", tensors, {"scales": [1.0]}, inputs)

    def _maps(self, path: Path, cams: Path, shard: str) -> None:
        tensors: dict[str, Tensor] = {}
        for record in self.manifest.shard("train", shard):
            maps = torch.linspace(0, 0.5, 48).reshape(1, 6, 8)
            tensors[f"{record.id}/maps"] = (
                maps + (self.brighter if record.id == "img0" else 0) + (self.weight - 1)
            ).half()
            tensors[f"{record.id}/classes"] = torch.tensor(record.classes)
        params = {"settings": {"steps": self.steps}, "views": {"scales": [1.0]}}
        with self._job("diffuse_cams", path, settings={"steps": self.steps}):
            inputs = {"manifest": self.path("manifest.jsonl"), "cams": cams}
            write_tensors(path, "maps", tensors, params, inputs)

    def _labels(self, folder: Path, maps: Path, shard: str) -> None:
        labels = []
        for record in self.manifest.shard("train", shard):
            label = np.zeros(SIZE, np.uint8)
            label[6:18, 4 + self.shift : 16 + self.shift] = record.classes[0] + 1
            labels.append((record.id, label))
        inputs = {"manifest": self.path("manifest.jsonl"), "maps": maps}
        index = folder.with_name(f"{shard}.jsonl")
        with self._job("make_pseudo_labels", folder, settings={"threshold": 0.25}):
            write_labels(folder, index, labels, {"settings": {"threshold": 0.25}}, inputs)

    def _counts(self, path: Path, shard: str) -> None:
        images = len(self.manifest.shard("train", shard))
        right = 100 - self.shift
        counts = images * torch.tensor([[[right, self.shift], [self.shift, right]]])
        with self._job("count_pseudo", path):
            tensors = {"counts": counts, "images": torch.tensor([images])}
            write_tensors(path, "counts", tensors, {"split": "masked"})

    def _scores(self, path: Path, seed: int, miou: float) -> None:
        rows = [{"class": name, "iou": miou, "fp": 0.1, "fn": 0.2} for name in ("background", *self.classes)]
        means = {"miou": miou, "mean_fp": 0.1, "mean_fn": 0.2, "pixel_accuracy": 0.9, "f1": 0.5}
        head = {"form": "scores", "run": seed, "truth": [str(self.folder / "truth")]}
        with self._job("evaluate_pseudo", path):
            write_json(path, {**head, **means, "per_class": rows})

    def _job(self, rule: str, path: Path | None = None, **settings: Any) -> AbstractContextManager[None]:
        """What is written in the block names such a job, whose chain is that of its place."""
        wildcards = {"dataset": "toy"}
        if path is not None:
            run, *chain = path.relative_to(self.data).parts[: 4 if "adcam" in path.parts else 2]
            names = ("classifier", "method", "refiner")
            wildcards |= {"run": run.removeprefix("run"), **dict(zip(names, chain, strict=False))}
            wildcards |= {"shard": path.stem} if "of" in path.stem else {}
        return making(Identity(rule, wildcards, settings, self.code.get(rule, "0123456789abcdef")))
