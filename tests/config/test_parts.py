"""The parts of the configuration that rules hand to stages, as the models that stages make of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.support.settings import CONFIG
from wsss.config.classifiers import ClassifierInitial, Network, Training, Views
from wsss.config.configuration import Pretraining
from wsss.config.networks import Initial
from wsss.config.refiners import IrnNetwork, IrnTraining, Labels, Pseudo, Walk
from wsss.config.segmenters import Inference, SegmenterNetwork, SegmenterTraining
from wsss.config.single_stage import SingleStageInference
from wsss.methods.class_maps.registry import SETTINGS
from wsss.single_stage.registry import network_model, training_model

PARTS: dict[str, dict[str, Any]] = {
    "classifiers": {
        "network": Network,
        "initial": ClassifierInitial,
        "training": Training,
        "views": Views,
    },
    "refiners": {
        "labels": Labels,
        "network": IrnNetwork,
        "initial": Initial,
        "training": IrnTraining,
        "walk": Walk,
        "pseudo": Pseudo,
    },
    "segmenters": {"network": SegmenterNetwork, "initial": Initial, "training": SegmenterTraining},
}
WHOLE = {
    "inferences": Inference,
    "single_stage_inferences": SingleStageInference,
    "pretraining": Pretraining,
}


def parts() -> Iterator[tuple[str, Any, Any]]:
    """Key, plain values and model of all that a stage takes as a model."""
    for section, models in PARTS.items():
        for name, variant in CONFIG[section].items():
            for part in models.keys() & variant.keys():
                yield f"{section}.{name}.{part}", variant[part], models[part]
    for section, model in WHOLE.items():
        for name, settings in CONFIG[section].items():
            yield f"{section}.{name}", settings, model
    for name, settings in CONFIG["methods"].items():
        if settings["kind"] in SETTINGS:
            yield f"methods.{name}", settings, SETTINGS[settings["kind"]]
    for name, variant in CONFIG["single_stage"].items():
        yield f"single_stage.{name}.network", variant["network"], network_model(variant["kind"])
        yield f"single_stage.{name}.training", variant["training"], training_model(variant["kind"])


@pytest.mark.parametrize("section", [*PARTS, *WHOLE, "methods", "single_stage"])
def test_the_model_of_a_part_gives_its_plain_values_back(section: str) -> None:
    """So headers and work folders hold what they held when stages took plain values; in order, too."""
    found = [part for part in parts() if part[0].startswith(f"{section}.")]
    assert found
    for key, settings, model in found:
        assert repr(TypeAdapter(model).validate_python(settings).model_dump()) == repr(settings), key
