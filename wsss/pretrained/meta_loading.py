"""Loading initial weights into networks without numbers: whether names and shapes fit.

``python -m wsss.pretrained.meta_loading`` reads variants as JSON from standard input, a list of section and
settings, and prints what does not fit of each; :mod:`wsss.pretrained.fit` asks so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from wsss.config.classifiers import Network
from wsss.config.networks import Backbone
from wsss.models.backbones import build_backbone
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.pretrained.files import PAIRED, locate
from wsss.pretrained.initial_weights import read_state
from wsss.pretrained.state_dicts import WeightsError, load_pretrained
from wsss.single_stage.registry import BUILD, network_model

Settings = Mapping[str, Any]
CLASSES = 1  # any number: heads are not loaded


def _classifier(variant: Settings) -> nn.Module:
    return build_classifier(with_colours(TypeAdapter(Network).validate_python(variant["network"])), CLASSES)


def _backbone(variant: Settings) -> nn.Module:
    return build_backbone(Backbone.model_validate(variant["network"]["backbone"]))


def _encoder(variant: Settings) -> nn.Module:
    kind = variant["kind"]
    encoder: nn.Module = BUILD[kind](network_model(kind).model_validate(variant["network"]), CLASSES).encoder
    return encoder


# What of the networks of each section's variants starts from weights.
STARTING: Mapping[str, Callable[[Settings], nn.Module]] = {
    "classifiers": _classifier,
    "refiners": _backbone,
    "segmenters": _backbone,
    "single_stage": _encoder,
}


def misfit(section: str, variant: Settings) -> str | None:
    """Why the files that a network is to start from are not those of that network.

    Args:
        section: A key of :data:`STARTING`.
        variant: ``network`` and ``initial`` of one of its variants; files that are not there are passed over.

    Returns:
        The file, and which names and shapes are others; None if all fit.
    """
    try:
        with torch.device("meta"):
            model = STARTING[section](variant)
    except (TypeError, ValueError) as error:
        return f"the network cannot be built: {error}"
    initial = variant["initial"]
    pair = [(getattr(model, part), initial[part]) for part in PAIRED if part in initial]
    files = [(part, given.get("file")) for part, given in pair or [(model, initial)]]
    return next(filter(None, (_misfit(part, locate(file)) for part, file in files if file)), None)


def _misfit(model: nn.Module, path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        load_pretrained(model, _shapes(path))
    except WeightsError as error:
        return f"{path}: {error}"
    return None


def _shapes(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, of which names and shapes are left."""
    return {name: tensor.to("meta") for name, tensor in read_state(path).items()}


if __name__ == "__main__":
    json.dump([misfit(*variant) for variant in json.load(sys.stdin)], sys.stdout)
