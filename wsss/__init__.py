"""Weakly-supervised semantic segmentation: from image labels to a network that labels every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsss.prediction.predictor import Prediction, Predictor, load_predictor

__all__ = ["Prediction", "Predictor", "load_predictor"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: planning and commands that only print spare torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from wsss.prediction import predictor

    return getattr(predictor, name)
