"""Bytes that the main chain writes for an image of VOC's and of COCO's size, and of all of them.

Class maps, views and attention are arrays whose bytes the sizes fix: the real stages make them of few images
by an untrained network of the real strides. Label maps are PNGs, whose bytes follow what they show: the real
stages cut them from made-up maps of 200 images, with outlines as smooth as maps have them. Predictions are
taken to be as large as pseudo labels. Run: python benchmarks/disk.py [images, 200 unless said]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from wsss.artefacts.class_maps import MAP_STRIDE, grid_size
from wsss.artefacts.formats import Manifest, Record, read_manifest, write_manifest, write_tensors
from wsss.config.classifiers import ConformerNetwork
from wsss.config.reading import read_config
from wsss.config.systems import Config
from wsss.doctor.data import Facts
from wsss.doctor.disk import Estimate
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.stages.cam import diffuse_cams
from wsss.stages.classify import extract_maps
from wsss.stages.irn import make_irn_labels
from wsss.stages.pseudo import make_pseudo_labels

SHARD = "000of001"
IMAGES = 200
FEW = 2  # images that the network sees
NAMES = ("one", "two", "three")  # classes
BLOCK = 4096  # bytes of the disk that files are laid out in
ARRAYS = ("cams", "attention", "maps")


class Edition(NamedTuple):
    """A data set: size of most of its images, their numbers, classes of one training image and the next."""

    size: tuple[int, int]
    train: int
    val: int
    classes: tuple[int, int]


EDITIONS = {
    "voc": Edition((375, 500), 10582, 1449, (1, 2)),
    "coco": Edition((480, 640), 82081, 40137, (3, 3)),  # 2.9 on average
}


def main() -> None:
    """Print both editions' bytes."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    config = read_config([])
    for name, edition in EDITIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            measured = {
                **arrays(Path(folder) / "few", edition, config),
                **labels(Path(folder) / "many", edition, config, images),
            }
        print(f"{name}, bytes an image of {edition.size[0]}x{edition.size[1]}:")
        for what, found in measured.items():
            print(f"  {what}: {found:,.0f}")
        for keep in ("maps", "attention"):
            print(f"  a run with keep: {keep}: {total(name, edition, config, measured, keep)}")


def arrays(folder: Path, edition: Edition, config: Config) -> dict[str, float]:
    """Bytes of views, attention and maps, by the stages that make them."""
    manifest = lay_images(folder, edition, FEW)
    classifier = config["classifiers"]["conformer_small"]
    network = {**classifier["network"], "variant": "nano"}
    built = build_classifier(with_colours(ConformerNetwork.model_validate(network)), len(NAMES))
    write_tensors(folder / "weights", "weights", built.state_dict(), {"classes": list(NAMES)})
    views = {"cams": folder / "cams", "attention": folder / "attention"}
    both: dict[str, Any] = {"manifest": manifest, "shard": SHARD, **views}
    extract_maps.run(weights=folder / "weights", network=network, views=classifier["views"], **both)
    diffuse_cams.run(maps=folder / "maps", settings=config["methods"]["adcam"], **both)
    return {name: (folder / name).stat().st_size / FEW for name in ARRAYS}


def labels(folder: Path, edition: Edition, config: Config, images: int) -> dict[str, float]:
    """Bytes on disk of the label maps of both kinds, by the stages that cut them from maps."""
    manifest = lay_images(folder, edition, images)
    maps = lay_maps(folder / "maps", read_manifest(manifest).records)
    refiner = config["refiners"]["irn_rule"]
    stages = {
        "labels": (make_irn_labels.run, refiner["labels"]),
        "pseudo": (make_pseudo_labels.run, refiner["pseudo"]),
    }
    found = {}
    for name, (run, settings) in stages.items():
        out = {"labels": folder / name, "index": folder / f"{name}.jsonl"}
        run(manifest=manifest, maps=maps, **out, settings=settings, shard=SHARD)
        files = [path.stat().st_size for path in (folder / name).rglob("*.png")]
        whole = sum(-(-size // BLOCK) * BLOCK for size in files) + out["index"].stat().st_size
        found[name] = whole / images
    return found


def lay_images(folder: Path, edition: Edition, count: int) -> Path:
    """Write smooth pictures and their manifest."""
    folder.mkdir(parents=True)
    records = []
    for number, classes in enumerate(islice(cycle(edition.classes), count)):
        path = folder / f"{number:06d}.png"
        pixels = np.stack([blobs(edition.size, 3 * number + part) for part in range(3)], axis=2)
        Image.fromarray((255 * pixels).astype(np.uint8)).save(path)
        present = tuple(range(classes))
        records.append(Record(path.stem, str(path), None, *edition.size, present, ("train",)))
    write_manifest(folder / "train.jsonl", Manifest("measured", NAMES, tuple(records)))
    return folder / "train.jsonl"


def lay_maps(path: Path, records: Sequence[Record]) -> Path:
    """Write class maps of soft blobs."""
    write_tensors(path, "maps", dict(_maps(records)), {"stride": MAP_STRIDE})
    return path


def _maps(records: Sequence[Record]) -> Iterator[tuple[str, torch.Tensor]]:
    for number, record in enumerate(records):
        maps = [blobs(grid_size(record), len(NAMES) * number + part) ** 2 for part in record.classes]
        yield f"{record.id}/maps", torch.from_numpy(np.stack(maps)).half()
        yield f"{record.id}/classes", torch.tensor(record.classes, dtype=torch.int64)


def blobs(size: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Smooth noise in [0, 1], (H, W): of a grid of 6x8 numbers."""
    grid = torch.rand(1, 1, 6, 8, generator=torch.Generator().manual_seed(seed))
    smooth: NDArray[np.float32] = interpolate(grid, size, mode="bicubic")[0, 0].clamp(0, 1).numpy()
    return smooth


def total(name: str, edition: Edition, config: Config, measured: Mapping[str, float], keep: str) -> str:
    """Gigabytes of all that a run of the main chain leaves and holds, beside what the doctor says."""
    settings = {**config["datasets"][name], "keep": keep, "runs": [0], "single_stage": None}
    images = {"train": edition.train, "masked": edition.train, "val": edition.val, "test": 0}
    facts = Facts(images, [edition.size], sum(edition.classes) / len(edition.classes))
    estimate = Estimate({**config, "datasets": {name: settings}}, name, facts)
    views = measured["cams"] + measured["attention"]
    an_image = 2 * measured["maps"] + measured["labels"] + measured["pseudo"]
    kept = edition.train * (an_image + (views if keep == "attention" else 0))
    kept += edition.val * len(settings["inferences"]) * measured["pseudo"]
    shard = 2 * views * edition.train / settings["shards"]
    held = f", and {shard / 1e9:.1f} for each job that makes maps" if keep == "maps" else ""
    said = estimate.main(Path("results of nothing")) / 1e9
    return f"{kept / 1e9:.1f} GB without weights{held}; doctor {said:.1f} GB with weights"


if __name__ == "__main__":
    main()
