"""Class maps and attention of a pair against the passes of its two networks.

EfficientNet-Lite0 at stride 16 beside ViT-Tiny/16, random weights: first one picture of 320x224 pixels
through the networks alone, then the stage extract_maps over four such pictures at two scales, mirrored,
against the same stage over the CNN and over the transformer. All are timed in turns, so that what else the
machine does meets all.
Run: python benchmarks/pair.py
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import report
from PIL import Image
from pydantic import TypeAdapter

from wsss.artefacts.formats import Manifest, Record, write_manifest, write_tensors
from wsss.config.classifiers import Network
from wsss.models.classifiers import build_classifier
from wsss.stages.classify import extract_maps

HEIGHT, WIDTH, PICTURES, REPEATS = 224, 320, 4, 7
CLASSES = ("cat", "dog")
GREY = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
CNN = {"model": "tf_efficientnet_lite0", "arguments": {}, "output_stride": 16}
VIT = {"model": "vit_tiny_patch16_224", "arguments": {}}
NETWORKS = TypeAdapter(dict[str, Network]).validate_python(
    {
        "pair": {"kind": "pair", "cnn": CNN, "vit": {**VIT, "learns": False, **GREY}, **GREY},
        "cnn": {"kind": "cnn", **CNN, **GREY},
        "vit": {"kind": "timm", **VIT, **GREY},
    }
)
VIEWS = {"scales": [1.0, 0.5], "mirror": True, "cached_neighbours": 64, "attention_steps": 2}


def in_turns(functions: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Median seconds of each function over rounds through all of them; the first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(REPEATS + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


@torch.inference_mode()
def passes() -> None:
    """One picture through the networks: timm's own transformer pass is without attention."""
    pair, cnn, vit = (build_classifier(NETWORKS[name], 2).eval() for name in ("pair", "cnn", "vit"))
    cnn.load_state_dict(pair.cnn.state_dict())
    vit.backbone.load_state_dict(pair.vit.state_dict())
    image = torch.randn(1, 3, HEIGHT, WIDTH)
    seconds = in_turns(
        {
            "pair": lambda: pair(image),
            "cnn": lambda: cnn(image),
            "vit": lambda: vit(image),
            "timm": lambda: vit.backbone.forward_features(image),
        }
    )
    found, maps, tokens = pair(image), cnn(image).class_maps, vit(image)
    assert torch.equal(found.class_maps, maps)
    difference = float((found.attention - tokens.attention).abs().max() / tokens.attention.max())
    for name, what in (("vit", "with attention"), ("timm", "by timm, without attention")):
        both = seconds["cnn"] + seconds[name]
        report(f"pair, against CNN and transformer {what}", seconds["pair"], both, difference)
        print(f"  the pair takes {seconds['pair'] / both:.3f} of the sum")


def stages(folder: Path) -> None:
    """The whole stage, reading and writing included."""
    manifest, weights = write_data(folder)

    def run(name: str) -> Callable[[], None]:
        files = {kind: folder / f"{name}_{kind}" for kind in ("cams", "attention")}
        settings = {"network": NETWORKS[name], "views": VIEWS, "shard": "000of001"}
        return lambda: extract_maps.run(manifest=manifest, weights=weights[name], **files, **settings)

    seconds = in_turns({name: run(name) for name in NETWORKS})
    both = seconds["cnn"] + seconds["vit"]
    report("extract_maps of a pair, against both networks'", seconds["pair"], both, 0.0)
    print(f"  the pair takes {seconds['pair'] / both:.3f} of the sum")


def write_data(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Pictures of noise with two classes, and random weights of each network."""
    rng, records = np.random.default_rng(0), []
    for number in range(PICTURES):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)
        records.append(Record(str(number), str(path), None, HEIGHT, WIDTH, (0, 1), ("train",)))
    write_manifest(folder / "manifest.jsonl", Manifest("toy", CLASSES, tuple(records)))
    weights = {name: folder / f"{name}.safetensors" for name in NETWORKS}
    for name, path in weights.items():
        state = build_classifier(NETWORKS[name], 2).state_dict()
        write_tensors(path, "weights", state, {"classes": list(CLASSES)})
    return folder / "manifest.jsonl", weights


def main() -> None:
    torch.manual_seed(0)
    passes()
    with tempfile.TemporaryDirectory() as folder:
        stages(Path(folder))


if __name__ == "__main__":
    main()
