"""Background scores by rules: which name stands for what, and a data set's threshold from its file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from wsss.artefacts.formats import ArtefactError, PathLike, read_json
from wsss.config.refiners import Labels, Pseudo
from wsss.config.thresholds import DATA_SET_RULE, of_data_set
from wsss.methods.thresholds import RULES, STEPS, threshold_by, value_histogram

Cutting = TypeVar("Cutting", Labels, Pseudo)

FORM = "threshold"
VERSION = 1
OWN = "each image's own, from its class maps alone"
SHARED = "one for all training images, from their class maps alone, at the sweep's nearest step"


def rule_names() -> list[str]:
    """All rules by their names in the configuration: of each image's own maps, then of the data set's."""
    return [*RULES, *(f"{name}{DATA_SET_RULE}" for name in RULES)]


def rule_chosen(rule: str) -> str:
    """How a rule chooses a threshold, for a metrics file to say."""
    return f"by rule {rule}: {SHARED if of_data_set(rule) else OWN}"


def sweep_values(thresholds: Mapping[str, float]) -> list[float]:
    """The sweep's thresholds as the decimals they are meant to be, so that ties with maps are ties."""
    start, stop, step = thresholds["start"], thresholds["stop"], thresholds["step"]
    if step <= 0 or stop < start:
        raise ValueError(f"thresholds: expected step > 0 and stop >= start, found {dict(thresholds)}")
    steps = int(np.floor((stop - start) / step + 1e-6))
    return [round(start + step * index, 10) for index in range(steps + 1)]


def image_threshold(setting: float | str, maps: ArrayLike) -> float:
    """The background score of one image.

    Args:
        setting: A number, or a rule on the image's own maps.
        maps: The image's class maps as they are stored, (K, h, w) with K > 0.
    """
    return threshold_by(setting, value_histogram(maps)) if isinstance(setting, str) else setting


def data_set_threshold(rule: str, histogram: ArrayLike, sweep: Sequence[float]) -> tuple[float, int]:
    """The background score of a data set, a step of the sweep as a configured number is, and its place there.

    Args:
        rule: Name of a rule of a data set.
        histogram: Values of the strongest maps of all its training images, int64 (BINS,).
        sweep: The sweep's background scores, in ascending order.

    Raises:
        ArtefactError: If no image has a class.
    """
    counts = np.asarray(histogram)
    if not counts.any():
        raise ArtefactError(f"rule {rule}: expected training images with a class, found none")
    found = threshold_by(rule.removesuffix(DATA_SET_RULE), counts)
    place = min(range(len(sweep)), key=lambda index: abs(sweep[index] - found))
    return sweep[place], place


def spread_of_steps(sums: Sequence[int]) -> dict[str, float | None]:
    """Mean and sample deviation of images' thresholds.

    Args:
        sums: Number of thresholds, their sum and the sum of their squares, in units of half a bin.

    Returns:
        ``threshold`` and ``threshold_deviation``; null for too few.
    """
    count, total, squares = sums
    variance = (squares - total * total / count) / (count - 1) if count > 1 else None
    return {
        "threshold": total / count / STEPS if count else None,
        "threshold_deviation": None if variance is None else math.sqrt(max(variance, 0)) / STEPS,
    }


def resolved(settings: Cutting, file: PathLike | None) -> Cutting:
    """Settings whose threshold, where it is a rule of the data set, is the number that its file has.

    Raises:
        ArtefactError: If the file is missing, or of another rule.
    """
    rule = settings.threshold
    if not of_data_set(rule):
        return settings
    if file is None:
        raise ArtefactError(f"threshold {rule}: expected the file of the data set's threshold, found none")
    document = read_json(file)
    found = (document.get("form"), document.get("version"), document.get("rule"))
    if found != (FORM, VERSION, rule):
        raise ArtefactError(
            f"{file}: expected a threshold by rule {rule!r}, version {VERSION}, found {found}; "
            "remove it and run again"
        )
    return settings.model_copy(update={"threshold": document["threshold"]})
