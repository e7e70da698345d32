"""Speed of ``wsss predict`` against the network's bare pass; its start; memory of a huge picture."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from wsss.artefacts.formats import Manifest, Record, write_manifest, write_tensors
from wsss.artefacts.predictors import read_predictor
from wsss.config.segmenters import SegmenterNetwork
from wsss.data.transforms import normalise, to_tensor
from wsss.models.deeplabv2_network import build_deeplabv2
from wsss.stages.predictor import package_predictor

CLASSES = tuple(f"class{number}" for number in range(20))
NETWORK = {
    "backbone": {"model": "tf_efficientnet_lite0", "output_stride": 16},
    "rates": [3, 6, 9, 12],
    "multi_scale": [],
    "loss": "cross_entropy",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}
INFERENCE = {"scales": [1.0], "mirror": False, "crf": None}
BATCH, PICTURES = 8, 64
HUGE = 10_000  # pixels a side


def main() -> None:
    """Print all four."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        predictor = make(folder)
        photos = pictures(folder / "photos")
        alone = [command(predictor, photos[:1], folder / f"alone{number}").processor for number in range(5)]
        print(f"one picture: {min(alone):.2f} CPU seconds at least, {median(alone):.2f} in the middle, of 5")
        start = command(predictor, photos[:BATCH], folder / "start").seconds
        whole = command(predictor, photos, folder / "labels").seconds
        each = (whole - start) / (PICTURES - BATCH)
        bare = network_pass(predictor, photos)
        print(f"bare network pass, batch {BATCH}: {1 / bare:.2f} pictures/s")
        print(
            f"wsss predict, batch {BATCH}, after its start: {1 / each:.2f} a second, {bare / each:.2f} of it"
        )
        print(f"start to end of {BATCH} pictures: {start:.2f} s; without them {start - BATCH * each:.2f} s")
        Image.fromarray(noise(HUGE, HUGE)).save(folder / "huge.jpg")
        huge = command(predictor, [folder / "huge.jpg"], folder / "huge")
        print(f"{HUGE} x {HUGE} pixels: {huge.seconds:.0f} s, {huge.memory:.2f} GB at most")


def make(folder: Path) -> Path:
    """A predictor of an untrained network."""
    torch.manual_seed(0)
    known = {"classes": list(CLASSES), "seed": 0, "initial": {"supervision": "none", "pixel_labels": False}}
    state = build_deeplabv2(SegmenterNetwork(**NETWORK), len(CLASSES) + 1).state_dict()
    write_tensors(folder / "weights.safetensors", "weights", state, known)
    record = Record("a", "a.jpg", None, 375, 500, (0,), ("train",))
    write_manifest(folder / "manifest.jsonl", Manifest("benchmark", CLASSES, (record,)))
    package_predictor.run(
        manifest=folder / "manifest.jsonl",
        weights=folder / "weights.safetensors",
        folder=folder / "predictor",
        kind="segmenter",
        network=NETWORK,
        inference=INFERENCE,
        labels={"system": "benchmark", "supervision": "nothing"},
    )
    return folder / "predictor"


def noise(height: int, width: int) -> np.ndarray:
    """A soft picture, which compresses like a photograph."""
    small = np.random.default_rng(0).integers(0, 255, (height // 50, width // 50, 3), np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def pictures(folder: Path) -> list[Path]:
    """Photographs of VOC's size."""
    folder.mkdir()
    paths = [folder / f"{number:03d}.jpg" for number in range(PICTURES)]
    for path in paths:
        Image.fromarray(noise(375, 500)).save(path)
    return paths


class Spent(NamedTuple):
    """Seconds that a command took, those of the processor, and the largest memory of any so far, GB."""

    seconds: float
    processor: float
    memory: float


def command(predictor: Path, photos: list[Path], out: Path) -> Spent:
    """Run the command."""
    arguments = [*map(str, (predictor, *photos)), "--out", str(out), "--batch", str(BATCH)]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "wsss.cli", "predict", *arguments], check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(seconds, processor, after.ru_maxrss / 1e6)


def network_pass(predictor: Path, photos: list[Path]) -> float:
    """Seconds a picture of the logits alone."""
    network = SegmenterNetwork(**read_predictor(predictor)["network"])
    model = build_deeplabv2(network, len(CLASSES) + 1).eval()
    image = to_tensor(normalise(np.array(Image.open(photos[0])), *network.colours))
    batch = image.expand(BATCH, -1, -1, -1).contiguous()
    with torch.inference_mode():
        model.logits(batch)
        start = time.perf_counter()
        for _ in range(len(photos) // BATCH):
            model.logits(batch)
    return (time.perf_counter() - start) / len(photos)


if __name__ == "__main__":
    main()
