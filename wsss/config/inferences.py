"""A way of inference that is changed where a trained network is used, checked as in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wsss.config.errors import ConfigError, explain
from wsss.config.segmenters import Inference
from wsss.config.single_stage import SingleStageInference


def checked_inference(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with their defaults.

    Args:
        kind: Kind of the network, ``segmenter`` or a single-stage method.
        settings: As an entry of ``inferences`` or ``single_stage_inferences`` has them.

    Raises:
        ConfigError: If they are none of this kind of network.
    """
    model = Inference if kind == "segmenter" else SingleStageInference
    try:
        return model.model_validate(dict(settings)).model_dump()
    except ValidationError as error:
        raise ConfigError(f"inference of this predictor: {explain(error, settings)}") from None
