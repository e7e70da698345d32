"""Results of four systems on a small data set, for the tests of the comparison."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from tests.support.apc_training import TRAINING
from wsss.artefacts.formats import (
    Manifest,
    Record,
    read_table,
    write_json,
    write_labels,
    write_manifest,
    write_mask,
    write_table,
    write_tensors,
)
from wsss.artefacts.identity import Identity, making
from wsss.config.systems import System
from wsss.stages.compare import compare, draw_comparison

CLASSES = ("cat", "dog", "owl")
SIZE = (24, 32)
SHARDS = ("000of002", "001of002")
VAL_SHARDS = ("000of001",)
CHAIN: dict[str, Any] = {"classifier": "small", "single": None, "inference": "crf", "pseudo": None}
SYSTEMS = (
    System(name="CAM", method="cam", refiner="none", segmenter=None, **CHAIN),
    System(name="AD-CAM", method="adcam", refiner="none", segmenter=None, **CHAIN),
    System(name="AD-CAM + IRNet", method="adcam", refiner="irn", segmenter="deeplab", **CHAIN),
    System("APC", "apc", "patches", "none", None, "apc", "big", "tagged"),
)
DRAWN = (
    "curves",
    "curve_scores",
    "sensitivity",
    "maps",
    "labels",
    "label_indexes",
    "predictions",
    "prediction_indexes",
)
INITIAL = {"supervision": "image labels", "pixel_labels": False}
SCORE = {"cam": 0.3, "adcam": 0.5, "patches": 0.6}
# seconds of a job and its memory in MB
JOBS = {
    "train_classifier": (60.0, 100.0),
    "train_irn": (30.0, 300.0),
    "train_segmenter": (90.0, 200.0),
    "train_single_stage": (120.0, 400.0),
    "extract_maps": (6.0, 50.0),
    "diffuse_cams": (3.0, 50.0),
    "make_irn_labels": (2.0, 50.0),
    "walk_cams": (4.0, 50.0),
    "make_pseudo_labels": (1.0, 50.0),
    "predict_masks": (3.0, 50.0),
    "predict_single_stage_masks": (1.5, 50.0),
}


@dataclass
class Scene:
    """The data set's folder, and all files of its systems by the argument that takes them."""

    folder: Path
    runs: Sequence[int]
    files: dict[str, list[Path]] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        return self.folder / name

    def add(self, argument: str, name: str) -> Path:
        path = self.folder / "results" / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files.setdefault(argument, []).append(path)
        return path

    def making(self, rule: str, run: int, **wildcards: str) -> AbstractContextManager[None]:
        """What is written in the block names such a job."""
        settings = {"kind": "apc"} if rule == "train_single_stage" else {}
        return making(Identity(rule, {"dataset": "toy", "run": str(run), **wildcards}, settings))

    def some(self, arguments: Iterable[str]) -> dict[str, list[Path]]:
        return {argument: self.files[argument] for argument in arguments}

    def shared(self) -> dict[str, Any]:
        systems = [asdict(system) for system in SYSTEMS]
        return {
            "manifest": self.path("manifest.jsonl"),
            "systems": systems,
            "runs": list(self.runs),
            "kind": "sample",
        }

    def compare(self, **changed: Any) -> pd.DataFrame:
        """Run the stage; rows by the systems' names."""
        arguments: dict[str, Any] = {
            **self.shared(),
            **self.some(("seeds", "pseudo", "segmentation", "weights")),
            "table": self.path("compare.csv"),
            "shards": SHARDS,
            "val_shards": VAL_SHARDS,
            "benchmarks": self.path("benchmarks"),
        }
        compare.run(**{**arguments, **changed})
        return read_table(self.path("compare.csv")).set_index("system", drop=False)

    def draw(self, **changed: Any) -> Path:
        arguments: dict[str, Any] = {
            **self.shared(),
            **self.some(DRAWN),
            "table": self.path("compare.csv"),
            "page": self.path("compare.html"),
            "images": 12,
        }
        draw_comparison.run(**{**arguments, **changed})
        return self.path("compare.html")


def make_scene(folder: Path, runs: Sequence[int] = (0,)) -> Scene:
    """Write everything that the comparison reads."""
    scene = Scene(folder, runs)
    records = _records(folder)
    write_manifest(scene.path("manifest.jsonl"), Manifest("toy", CLASSES, records))
    for place, run in enumerate(runs):
        for number, system in enumerate(SYSTEMS):
            _scores(scene, system, run, 0.1 * place)
            _times(scene, system, run)
            if run == runs[0]:
                _pictures(scene, system, records, number)
        for neighbours, steps in ((10, 2), (20, 2), (50, 2), (50, 1), (50, 4)):
            path = scene.add(
                "sensitivity", f"run{run}/small/adcam_k{neighbours}_t{steps}/none/seed_miou.json"
            )
            method = {"name": "adcam", "kind": "adcam", "neighbours": neighbours, "steps": steps}
            write_json(path, _seed_document(run, method, "none", 0.4 + neighbours / 1000))
    _weights(scene)
    return scene


def predictor(system: System) -> dict[str, str]:
    """The wildcards of what segments images without labels."""
    return (
        {"single": system.single}
        if system.single
        else {"labeller": system.maps, "segmenter": str(system.segmenter)}
    )


def square(record: Record, shift: int) -> np.ndarray:
    """A label map with a square of the image's first class, moved to the right."""
    label = np.zeros(SIZE, np.uint8)
    label[6:18, 4 + shift : 16 + shift] = record.classes[0] + 1
    return label


def _records(folder: Path) -> tuple[Record, ...]:
    rng = np.random.default_rng(0)
    records = []
    for number in range(16):
        split: tuple[str, ...] = ("val",) if number >= 8 else ("train", "masked")
        image, mask = folder / f"{number}.png", folder / f"{number}_mask.png"
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(image)
        classes = (number % 3,) if number % 2 else tuple(sorted({number % 3, (number + 1) % 3}))
        record = Record(f"part/{number}", str(image), str(mask), *SIZE, classes, split)
        write_mask(mask, square(record, 0))
        records.append(record)
    return tuple(records)


def document(run: int, miou: float, measured: str, split: str, **more: Any) -> dict[str, Any]:
    names = ["background", *CLASSES]
    per_class = [
        {"class": name, "iou": miou - 0.01 * row, "fp": 0.1, "fn": 0.2} for row, name in enumerate(names)
    ]
    means = {"miou": miou, "mean_fp": 0.6 - miou / 2, "mean_fn": 0.3, "pixel_accuracy": 0.9, "f1": 0.5}
    provenance = {"initial_supervision": {"classifier": "image labels"}, "pixel_labels_used": False}
    scope = {"measured": measured, "split": split, "images": 8, "run": run}
    return {**scope, **provenance, **means, "per_class": per_class, **more}


def _seed_document(run: int, method: Mapping[str, Any], refiner: str, miou: float) -> dict[str, Any]:
    best = {"threshold": 0.3, "threshold_chosen": "highest mIoU of the sweep, chosen on this very truth"}
    configured = {"miou": miou - 0.05, "threshold": 0.25, "threshold_chosen": "configured"}
    settings = {"classifier": "small", "method": dict(method), "refiner": {"name": refiner, "walk": None}}
    maps = {"settings": {"kind": method["kind"]}}
    return document(
        run,
        miou,
        "class maps cut at a background score",
        "masked",
        **best,
        configured=configured,
        settings=settings,
        maps=maps,
    )


def _scores(scene: Scene, system: System, run: int, gain: float) -> None:
    miou = SCORE[system.method] + gain + (0.05 if system.refiner == "irn" else 0)
    seed = _seed_document(run, {"name": system.method, "kind": system.method}, system.refiner, miou)
    variants = {"classifier": system.classifier, "method": system.method, "refiner": system.refiner}
    with scene.making("evaluate_seeds", run, **variants):
        path = scene.add("seeds", f"run{run}/{system.maps}/seed_miou.json")
        write_json(path, seed)
    scene.files.setdefault("curve_scores", []).append(path)
    thresholds = np.arange(6) / 10
    curve = {"threshold": thresholds, "miou": miou - (thresholds - 0.3) ** 2, "mean_fp": 0.2, "mean_fn": 0.3}
    write_table(scene.add("curves", f"run{run}/{system.maps}/seed_curve.csv"), pd.DataFrame(curve))
    rule = {"inference": "tagged"} if system.single else {"threshold": 0.25, "threshold_chosen": "configured"}
    pseudo = document(run, miou + 0.1, "labels of training images", "masked", **rule)
    scored = {"single": system.single, "score": "pseudo"} if system.single else variants
    with scene.making("evaluate_single_stage" if system.single else "evaluate_pseudo", run, **scored):
        write_json(scene.add("pseudo", f"run{run}/{system.scored}/pseudo_miou.json"), pseudo)
    if system.segments:
        final = document(run, miou + 0.08, "predictions, made without image labels", "val", side=48)
        own = {key: final[key] for key in ("miou", "mean_fp", "mean_fn", "per_class", "side")}
        final |= {"inference": system.inference, "inferences": {system.inference: own}}
        rule = "evaluate_single_stage" if system.single else "evaluate_segmentation"
        with scene.making(rule, run, **predictor(system)):
            write_json(scene.add("segmentation", f"run{run}/{system.segmentation}/seg_miou.json"), final)


def _times(scene: Scene, system: System, run: int) -> None:
    once = {"train_single_stage" if system.single else "train_classifier": system.classifier}
    parts: dict[str, str] = {}
    if not system.single:
        parts = {"extract_maps": system.classifier, "diffuse_cams": f"{system.classifier}/{system.method}"}
        parts["make_pseudo_labels"] = system.maps
    if system.refiner == "irn":
        once |= {"train_irn": system.maps, "train_segmenter": system.segmentation}
        parts |= {rule: system.maps for rule in ("make_irn_labels", "walk_cams")}
    predict = "predict_single_stage_masks" if system.single else "predict_masks"
    tails = {rule: [folder] for rule, folder in once.items()}
    tails |= {rule: [f"{folder}/{shard}" for shard in SHARDS] for rule, folder in parts.items()}
    if system.segments:
        tails[predict] = [f"{system.segmentation}/val/{system.inference}/{shard}" for shard in VAL_SHARDS]
    for rule, names in tails.items():
        for name in names:
            write_benchmark(scene.path(f"benchmarks/{rule}/toy/run{run}/{name}.tsv"), *JOBS[rule])


def write_benchmark(path: Path, seconds: float, memory: float | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\tmax_vms\n{seconds}\t0:00:01\t{memory}\t1.0\n")


def _pictures(scene: Scene, system: System, records: Sequence[Record], number: int) -> None:
    """Maps and labels of the training images and predictions of val; no two systems' are alike."""
    data = Manifest("toy", CLASSES, tuple(records))
    for shard in SHARDS:
        part = data.shard("train", shard)
        tensors: dict[str, torch.Tensor] = {}
        for record in part:
            maps = torch.zeros(len(record.classes), SIZE[0] // 4, SIZE[1] // 4, dtype=torch.float16)
            maps[:, 1:4, 1:4] = 1
            tensors[f"{record.id}/maps"] = maps
            tensors[f"{record.id}/classes"] = torch.tensor(record.classes, dtype=torch.int64)
        run, first = scene.runs[0], {"classifier": system.classifier}
        unrefined = {"single": system.single} if system.single else {**first, "method": system.method}
        variants = {**first, "method": system.method, "refiner": system.refiner}
        with scene.making("walk_cams", run, **(unrefined if system.refiner == "none" else variants)):
            path = scene.add("maps", f"run{run}/{system.maps}/maps/{shard}.safetensors")
            write_tensors(path, "maps", tensors)
        labelled = {"single": system.single, "split": "train", "inference": str(system.pseudo)}
        with scene.making("make_pseudo_labels", run, **(labelled if system.single else variants)):
            _write_folder(scene, "label", f"run{run}/{system.labels}/{shard}", part, number)
    if system.segments:
        for shard in VAL_SHARDS:
            wildcards = {**predictor(system), "split": "val", "inference": system.inference}
            with scene.making("predict_masks", scene.runs[0], **wildcards):
                name = f"run{scene.runs[0]}/{system.predictions}/{shard}"
                _write_folder(scene, "prediction", name, data.shard("val", shard), number)


def _write_folder(scene: Scene, what: str, name: str, records: Sequence[Record], number: int) -> None:
    folder, index = scene.add(f"{what}s", name), scene.add(f"{what}_indexes", f"{name}.jsonl")
    labels = [(record.id, square(record, number * (int(record.id[5:]) % 5) // 2)) for record in records]
    write_labels(folder, index, labels)


def _weights(scene: Scene) -> None:
    tensors = {
        "conv.weight": torch.zeros(10, 10),
        "bn.running_mean": torch.zeros(7),
        "bn.weight": torch.zeros(7),
    }
    tensors["bn.num_batches_tracked"] = torch.tensor(3)
    jobs: dict[str, dict[str, str]] = {
        "train_classifier": {"classifier": "small"},
        "train_irn": {"classifier": "small", "method": "adcam", "refiner": "irn"},
        "train_segmenter": {"labeller": "small/adcam/irn", "segmenter": "deeplab"},
        "train_single_stage": {"single": "apc"},
    }
    for rule, wildcards in jobs.items():
        network = {"kind": "conformer"}
        params = {"initial": INITIAL, "network": network, "training": TRAINING, "seed": scene.runs[0]}
        name = "/".join((*wildcards.values(), *(["irn"] if rule == "train_irn" else [])))
        path = scene.add("weights", f"run{scene.runs[0]}/{name}/weights.safetensors")
        with scene.making(rule, scene.runs[0], **wildcards):
            write_tensors(path, "weights", tensors, params)
