"""Where a network starts: a file of pretrained weights, timm's own, or random numbers.

``python -m wsss.pretrained.initial_weights SOURCE TARGET`` converts a ``.pth`` file to safetensors once.
"""

import argparse
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wsss.artefacts.files import atomic_file
from wsss.pretrained.files import PAIRED, fault, known_digest, locate
from wsss.pretrained.state_dicts import WeightsError, load_pretrained, timm_network, unwrap

if TYPE_CHECKING:
    from wsss.config.classifiers import PairInitial
    from wsss.config.networks import Initial

PathLike = str | os.PathLike[str]
SEEN = ("supervision", "pixel_labels")  # which labels the weights have seen


def load_initial(model: nn.Module, initial: "Initial | PairInitial") -> dict[str, Any]:
    """Give a network its initial weights.

    Args:
        model: Network to load into, randomly initialised: a classifier, or a module with a timm ``backbone``.
        initial: A file of weights, timm's own, or neither for random numbers; and what they have seen. Of a
            pair all that for each of its networks.

    Returns:
        Where the weights come from and which labels they have seen, to be stored beside the result.

    Raises:
        WeightsError: If the file is missing, damaged or another one, or does not fit the network.
    """
    pair: Any = initial
    if any(hasattr(initial, part) for part in PAIRED):
        return _of_pair({part: load_initial(getattr(model, part), getattr(pair, part)) for part in PAIRED})
    return {**_load(model, pair), **{key: getattr(initial, key) for key in SEEN}}


def _load(model: nn.Module, initial: "Initial") -> dict[str, Any]:
    if initial.file is not None:
        return {**_load_from_file(model, locate(initial.file), initial.sha256), "file": initial.file}
    return _load_from_timm(model) if initial.timm else {}


def _of_pair(origins: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What both networks of a pair have seen together."""
    maps, attention = (origins[part]["supervision"] for part in PAIRED)
    return {
        **origins,
        "supervision": maps if maps == attention else f"{maps} (class maps), {attention} (attention)",
        "pixel_labels": any(origin["pixel_labels"] for origin in origins.values()),
    }


def read_state(path: PathLike) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors``, or from ``.pth`` holding only tensors and plain values."""
    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        # DeiT's training code stores its command line beside the tensors: a plain record, safe to admit.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, pickle.UnpicklingError, EOFError, OSError, RuntimeError) as error:
        raise WeightsError(f"expected weights as safetensors or plain tensors, found: {error}") from error


def convert(source: PathLike, target: PathLike) -> None:
    """Rewrite a ``.pth`` file as safetensors, keeping its names."""
    with atomic_file(target) as temporary:
        save_file({key: value.contiguous().clone() for key, value in read_state(source).items()}, temporary)


def _load_from_file(model: nn.Module, path: Path, expected: str | None) -> dict[str, Any]:
    if wrong := fault(path, expected):
        raise WeightsError(f"{path}: {wrong}")
    try:
        load_pretrained(model, read_state(path))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    return {"sha256": known_digest(path)}


def _load_from_timm(model: nn.Module) -> dict[str, Any]:
    settings: Any = timm_network(model).pretrained_cfg
    if not settings.get("tag"):
        raise WeightsError(f"timm has no pretrained weights for {settings.get('architecture')!r}")
    name = f"{settings['architecture']}.{settings['tag']}"
    try:
        pretrained = timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{name}: expected timm to fetch its weights, found: {error}. "
            "Without a network give 'file' and 'sha256' instead of 'timm'."
        ) from error
    load_pretrained(model, pretrained.state_dict())
    return {"timm": name}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m wsss.pretrained.initial_weights SOURCE.pth TARGET.safetensors")
    convert(sys.argv[1], sys.argv[2])
