"""Settings that are left out: the models' defaults are those of what is built from them."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.support.networks import build_irnet
from tests.support.settings import CONFIG
from wsss.config.classifiers import CnnNetwork, ConformerNetwork
from wsss.config.fields import Settings
from wsss.config.networks import Backbone
from wsss.config.refiners import IrnBackbone
from wsss.methods.affinity import random_walk
from wsss.models.apc import APC
from wsss.models.backbones import TimmBackbone
from wsss.models.cnn_classifier import CnnClassifier
from wsss.models.conformer import Conformer
from wsss.single_stage import apc


@pytest.mark.parametrize(
    ("settings", "built"),
    [
        (Backbone, TimmBackbone),
        (CnnNetwork, CnnClassifier),
        (ConformerNetwork, Conformer),
        (apc.Network, APC),
    ],
)
def test_defaults_are_those_of_the_network(settings: type[Settings], built: Callable[..., Any]) -> None:
    own = {name: field.default for name, field in settings.model_fields.items() if not field.is_required()}
    theirs = {
        name: parameter.default
        for name, parameter in inspect.signature(built).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    shared = own.keys() & theirs.keys()
    assert shared
    for name in shared:  # an empty list and none are one
        assert (own[name] or None) == (theirs[name] or None), name


def test_irnet_s_backbone_is_not_dilated_unless_asked_for() -> None:
    asked = {"model": "resnet18", "arguments": {}, "output_stride": 16}
    whole = IrnBackbone.model_validate(asked).model_dump()
    images = torch.rand(1, 3, 64, 64)
    outputs = []
    for backbone in (asked, whole):
        torch.manual_seed(0)
        outputs.append(build_irnet({"backbone": backbone}).eval()(images).edge)
    assert torch.equal(*outputs)
    assert not any(
        refiner["network"]["backbone"]["dilate"]
        for refiner in CONFIG["refiners"].values()
        if "network" in refiner
    )


def test_the_walk_s_defaults_are_those_of_the_method() -> None:
    walk = CONFIG["refiners"]["irn"]["walk"]
    assert walk["normalise"] == inspect.signature(random_walk).parameters["normalise"].default
