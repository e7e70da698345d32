"""A score without a mask to compare with would come out empty, after all trainings: it is refused before."""

from __future__ import annotations

from wsss.config.datasets import Data
from wsss.config.errors import ConfigError
from wsss.data.truth import unscored


def check_scored(name: str, settings: Data, split: str) -> None:
    """Refuse a score of a data set that has nothing to score.

    Args:
        name: Name of the data set.
        settings: What defines its images and labels.
        split: What the score is measured on, ``train`` or ``val``.

    Raises:
        ConfigError: Says what is missing, and what can be asked for without it.
    """
    if wrong := unscored(settings, split):
        raise ConfigError(
            f"datasets.{name}: expected masks to score, {wrong}. What can be had without: "
            f"results/{name}/predictor, the trained network, and results/{name}/examples.png"
        )
