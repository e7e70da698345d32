"""Build a classifier from its ``network`` section of the configuration."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from wsss.models.cnn_classifier import CnnClassifier
from wsss.models.colours import arguments_of
from wsss.models.conformer import conformer_base, conformer_nano, conformer_small, conformer_tiny
from wsss.models.pair import Pair
from wsss.models.timm_classifier import TimmClassifier

if TYPE_CHECKING:
    from wsss.config.classifiers import CnnNetwork, ConformerNetwork, Network, PairNetwork, TimmNetwork

VARIANTS = {
    "small": conformer_small,
    "tiny": conformer_tiny,
    "base": conformer_base,
    "nano": conformer_nano,
}


def _conformer(network: "ConformerNetwork", num_classes: int) -> nn.Module:
    options = arguments_of(network)
    return VARIANTS[options.pop("variant")](num_classes, **options)


def _cnn(network: "CnnNetwork", num_classes: int) -> nn.Module:
    return CnnClassifier(num_classes=num_classes, **arguments_of(network))


def _timm(network: "TimmNetwork", num_classes: int) -> nn.Module:
    return TimmClassifier(num_classes=num_classes, **arguments_of(network))


def _pair(network: "PairNetwork", num_classes: int) -> nn.Module:
    return Pair(num_classes, cnn=network.cnn, vit=network.vit, colours=network.colours)


CLASSIFIERS: dict[str, Callable[[Any, int], nn.Module]] = {
    "conformer": _conformer,
    "cnn": _cnn,
    "timm": _timm,
    "pair": _pair,
}


def build_classifier(network: "Network", num_classes: int) -> nn.Module:
    """Build the classifier ``network`` describes, with random parameters.

    Args:
        network: Its settings; a pair works out its transformer's colours from ``mean`` and ``std``, by which
            images come normalised.
        num_classes: Foreground classes C.

    Returns:
        A module that follows ``wsss.models.outputs.Classifier``.
    """
    return CLASSIFIERS[network.kind](network, num_classes)
