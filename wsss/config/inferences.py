"""Settings of a trained network where it is used by itself, checked as in the configuration."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from wsss.config.errors import ConfigError, explain
from wsss.config.fields import Settings
from wsss.config.networks import Coloured
from wsss.config.segmenters import Inference, SegmenterNetwork
from wsss.config.single_stage import SingleStageInference
from wsss.single_stage.registry import network_model

SEGMENTER = "segmenter"  # the kind of network that is no single-stage method
Model = TypeVar("Model", bound=Settings)


def checked_inference(kind: str, settings: dict[str, Any]) -> Inference | SingleStageInference:
    """A way of inference, as an entry of ``inferences`` or ``single_stage_inferences`` has it.

    Args:
        kind: Kind of the network, ``segmenter`` or a single-stage method.
        settings: Its plain values.

    Raises:
        ConfigError: If they are none of this kind of network.
    """
    model: type[Inference] | type[SingleStageInference]
    model = Inference if kind == SEGMENTER else SingleStageInference
    return _checked("inference", model, settings)


def checked_network(kind: str, settings: dict[str, Any]) -> Coloured:
    """A network's settings; arguments and errors as of :func:`checked_inference`."""
    return _checked("network", SegmenterNetwork if kind == SEGMENTER else network_model(kind), settings)


def _checked(what: str, model: type[Model], settings: dict[str, Any]) -> Model:
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(f"{what} of this predictor: {explain(error, settings)}") from None
