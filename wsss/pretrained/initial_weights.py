"""Where a network starts: a file of pretrained weights, timm's own, or random numbers.

``python -m wsss.pretrained.initial_weights SOURCE TARGET`` converts a ``.pth`` file to safetensors once.
"""

import argparse
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wsss.artefacts.files import atomic_file
from wsss.pretrained.files import PAIRED, fault, known_digest, locate
from wsss.pretrained.state_dicts import WeightsError, load_pretrained, timm_network, unwrap

PathLike = str | os.PathLike[str]
SEEN = {"supervision": "the labels the weights have seen", "pixel_labels": "whether those include pixels"}


def load_initial(model: nn.Module, initial: Mapping[str, Any]) -> dict[str, Any]:
    """Give a network its initial weights.

    Args:
        model: Network to load into, randomly initialised: a classifier, or a module with a timm ``backbone``.
        initial: ``supervision`` and ``pixel_labels``, what the weights have seen; and ``file`` with its
            ``sha256`` (null: unchecked), or ``timm: true`` for timm's own, or no more for random numbers.
            Of a pair all that for each of its networks, under ``cnn`` and ``vit``.

    Returns:
        Where the weights come from and which labels they have seen, to be stored beside the result.

    Raises:
        WeightsError: If the file is missing, damaged or another one, or does not fit the network.
    """
    if any(part in initial for part in PAIRED):
        return _load_pair(model, initial)
    for key, meaning in SEEN.items():
        if initial.get(key) in (None, ""):
            raise WeightsError(f"initial: expected {key!r} ({meaning}), found none")
    seen = {key: initial[key] for key in SEEN}
    if initial.get("file"):
        origin = _load_from_file(model, locate(initial["file"]), initial.get("sha256"))
        return {**origin, "file": initial["file"], **seen}
    if initial.get("timm"):
        return {**_load_from_timm(model), **seen}
    return seen


def _load_pair(model: nn.Module, initial: Mapping[str, Any]) -> dict[str, Any]:
    """Give both networks of a pair their weights; together they have seen what either has."""
    if sorted(initial) != sorted(PAIRED) or not all(hasattr(model, part) for part in PAIRED):
        raise WeightsError(
            f"initial: expected weights for each of {' and '.join(PAIRED)} of a pair, "
            f"found {', '.join(initial)} for {type(model).__name__}"
        )
    origins = {part: load_initial(getattr(model, part), initial[part]) for part in PAIRED}
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
