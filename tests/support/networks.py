"""Networks of plain settings, as a file of the configuration has them; what those leave open is added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from torch import nn

from wsss.config.classifiers import Network, PairCnn, PairInitial, PairTransformer
from wsss.config.networks import Backbone, Initial
from wsss.config.refiners import IrnNetwork
from wsss.config.segmenters import SegmenterNetwork
from wsss.methods.crf import DEEPLAB
from wsss.models import backbones, classifiers, deeplabv2, deeplabv2_network, irnet
from wsss.models.apc import APC
from wsss.models.colours import COLOURS
from wsss.models.pair import Pair
from wsss.models.toco import ToCo
from wsss.pretrained import initial_weights

OPEN = {"conformer": {"stop_gradient": True, "drop_path": 0.0}}  # by kind of classifier
TRAINED = {"multi_scale": []}  # what only a training reads


def crf(**changes: Any) -> dict[str, Any]:
    """Settings of a dense CRF, DeepLab's but for the changes."""
    return {**DEEPLAB, **changes}


def classifier_network(settings: Mapping[str, Any]) -> Network:
    """A classifier's network as its model."""
    kind = str(settings["kind"])
    return TypeAdapter(Network).validate_python({**OPEN.get(kind, {}), **settings})


def build_classifier(settings: Mapping[str, Any], num_classes: int) -> nn.Module:
    return classifiers.build_classifier(classifier_network(settings), num_classes)


def build_pair(settings: Mapping[str, Any], num_classes: int) -> Pair:
    cnn, vit = PairCnn(**{"output_stride": 16, **settings["cnn"]}), PairTransformer(**settings["vit"])
    return Pair(num_classes, cnn=cnn, vit=vit, colours=(settings["mean"], settings["std"]))


def build_apc(settings: Mapping[str, Any], num_classes: int) -> APC:
    return APC(num_classes=num_classes, **_arguments(settings))


def build_toco(settings: Mapping[str, Any], num_classes: int) -> ToCo:
    return ToCo(num_classes=num_classes, **_arguments(settings))


def _arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in COLOURS}


def load_initial(model: nn.Module, initial: Mapping[str, Any]) -> dict[str, Any]:
    """As of the library; a file's digest is not checked where none is given."""
    if "cnn" in initial:
        return initial_weights.load_initial(model, PairInitial.model_validate(initial))
    unchecked = {"sha256": None} if "file" in initial else {}
    return initial_weights.load_initial(model, Initial.model_validate({**unchecked, **initial}))


def build_backbone(settings: Mapping[str, Any]) -> backbones.TimmBackbone:
    return backbones.build_backbone(Backbone.model_validate(settings))


def build_irnet(settings: Mapping[str, Any]) -> irnet.IRNet:
    return irnet.build_irnet(IrnNetwork.model_validate(settings))


def build_segmenter(settings: Mapping[str, Any], num_labels: int) -> deeplabv2.MultiScaleEncoderDecoder:
    return deeplabv2.build_segmenter(SegmenterNetwork.model_validate({**TRAINED, **settings}), num_labels)


def build_deeplabv2(settings: Mapping[str, Any], num_labels: int) -> deeplabv2_network.DeepLabV2:
    network = SegmenterNetwork.model_validate({**TRAINED, **settings})
    return deeplabv2_network.build_deeplabv2(network, num_labels)
