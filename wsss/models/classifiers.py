"""Build a classifier from its ``network`` section of the configuration."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from wsss.models.cnn_classifier import CnnClassifier
from wsss.models.colours import without_colours
from wsss.models.conformer import conformer_base, conformer_nano, conformer_small, conformer_tiny
from wsss.models.pair import Pair
from wsss.models.timm_classifier import TimmClassifier

Settings = Mapping[str, Any]

VARIANTS = {
    "small": conformer_small,
    "tiny": conformer_tiny,
    "base": conformer_base,
    "nano": conformer_nano,
}


def _conformer(settings: Settings, num_classes: int) -> nn.Module:
    options = without_colours(settings)
    variant = _pick(VARIANTS, options.pop("variant", None), "variant")
    return variant(num_classes, **options)


def _cnn(settings: Settings, num_classes: int) -> nn.Module:
    return CnnClassifier(num_classes=num_classes, **without_colours(settings))


def _timm(settings: Settings, num_classes: int) -> nn.Module:
    return TimmClassifier(num_classes=num_classes, **without_colours(settings))


def _pair(settings: Settings, num_classes: int) -> nn.Module:
    return Pair(num_classes, **settings)


CLASSIFIERS: dict[str, Callable[[Settings, int], nn.Module]] = {
    "conformer": _conformer,
    "cnn": _cnn,
    "timm": _timm,
    "pair": _pair,
}


def build_classifier(network: Settings, num_classes: int) -> nn.Module:
    """Build the classifier ``network`` describes, with random parameters.

    Args:
        network: ``kind`` (a key of ``CLASSIFIERS``) and its options; ``mean`` and ``std``, by which images
            come normalised, are left to others, but a pair works out its transformer's colours from them.
        num_classes: Foreground classes C.

    Returns:
        A module that follows ``wsss.models.outputs.Classifier``.
    """
    build = _pick(CLASSIFIERS, network.get("kind"), "kind")
    return build({key: value for key, value in network.items() if key != "kind"}, num_classes)


def _pick(choices: Mapping[str, Any], name: Any, what: str) -> Any:
    if name not in choices:
        raise ValueError(f"network {what}: expected one of {sorted(choices)}, found {name!r}")
    return choices[name]
