"""Predictors of random networks, packaged as from a training on a small data set."""

from pathlib import Path
from typing import Any

import torch

from tests.support import toco_training, vit_pcm_training
from tests.support.builders import APC, CLASSES, STATISTICS, Data
from tests.support.networks import build_apc, build_deeplabv2
from wsss.artefacts.formats import write_tensors
from wsss.single_stage import toco, vit_pcm
from wsss.stages.predictor import package_predictor

SEGMENTER: dict[str, Any] = {
    "backbone": {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 8},
    "rates": [1, 2],
    "multi_scale": [0.5],
    "loss": "cross_entropy",
    **STATISTICS,
}
KINDS = ("segmenter", "apc")  # ViT-PCM is APC without its decoder
NETWORKS = {
    "segmenter": SEGMENTER,
    "apc": APC,
    "vit_pcm": vit_pcm_training.NETWORK,
    "toco": toco_training.NETWORK,
}
INFERENCES: dict[str, dict[str, Any]] = {
    "segmenter": {"scales": [1.0, 0.5], "mirror": True, "crf": None},
    "apc": {"side": 48, "source": "decoder", "tags": False, "crf": None},
    "vit_pcm": {"side": 48, "source": "patches", "tags": False, "crf": None},
    "toco": {"side": 48, "source": "decoder", "tags": False, "crf": None},
}
LABELS = {"system": "a/b/c/d", "supervision": "pseudo labels", "threshold": 0.4, "crf": None}
INITIAL = {"supervision": "labels of images", "pixel_labels": False}


def write_trained(path: Path, kind: str, settings: Any = None, **params: Any) -> Path:
    """Write the weights of a random network, as large steps between labels as a trained one makes."""
    torch.manual_seed(3)
    if kind == "apc":
        network: torch.nn.Module = build_apc(settings or APC, len(CLASSES))
    elif kind == "vit_pcm":
        network = vit_pcm.build(vit_pcm.Network(**(settings or vit_pcm_training.NETWORK)), len(CLASSES))
    elif kind == "toco":
        network = toco.build(toco.Network(**(settings or toco_training.NETWORK)), len(CLASSES))
        torch.nn.init.normal_(network.decoder[-1].weight, std=4.0)
    else:
        network = build_deeplabv2(settings or SEGMENTER, len(CLASSES) + 1)
        for convolution in network.decode_head.convolutions:  # type: ignore[union-attr]
            torch.nn.init.normal_(convolution.weight, std=4 / convolution.in_channels**0.5)
    known = {"classes": list(CLASSES), "seed": 0, "initial": INITIAL, **params}
    write_tensors(path, "weights", network.state_dict(), known)
    return path


def make_predictor(data: Data, kind: str, **changes: Any) -> Path:
    """Package one."""
    folder = data.path(f"predictor_{kind}")
    arguments = {
        "manifest": data.manifest,
        "weights": write_trained(data.path(f"{kind}.safetensors"), kind, changes.get("network")),
        "folder": folder,
        "kind": kind,
        "network": NETWORKS[kind],
        "inference": INFERENCES[kind],
        "labels": LABELS,
    }
    package_predictor.run(**{**arguments, **changes})
    return folder
