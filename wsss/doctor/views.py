"""Whether the views of the classifiers' scales can be taken of images of the sizes that a data set has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from wsss.config.systems import Config
from wsss.doctor.data import Facts
from wsss.doctor.plans import main_systems
from wsss.doctor.sizes import MAX_TOKENS, grid, strides
from wsss.doctor.verdict import ERROR, Verdict


def check_views(config: Config, facts: Mapping[str, Facts]) -> list[Verdict]:
    """An error for each data set with images that ``extract_maps`` would refuse after the training.

    Args:
        config: The whole configuration.
        facts: What is known of the data sets to be used, by name.
    """
    return [verdict for name, known in facts.items() for verdict in _check(config, name, known)]


def _check(config: Config, name: str, facts: Facts) -> Iterator[Verdict]:
    chains = {system.classifier for system in main_systems(config["datasets"][name])}
    for classifier in sorted(chains & set(config["classifiers"])):
        variant = config["classifiers"][classifier]
        stride, scale = strides(variant["network"]).token, max(variant["views"]["scales"])
        largest = max(facts.sizes, key=math.prod, default=(1, 1))
        if stride is None or (tokens := grid(largest, scale, stride)) <= MAX_TOKENS:
            continue
        pixels, room = math.prod(largest), MAX_TOKENS * stride**2
        found = (
            f"images of {largest[1]}x{largest[0]} pixels have {tokens} tokens at scale {scale}, at most "
            f"{MAX_TOKENS} can be numbered ({classifier})"
        )
        fix = (
            f"take scales up to {math.floor(10 * math.sqrt(room / pixels)) / 10} in "
            f"classifiers.{classifier}.views.scales, or scale the images to "
            f"{math.floor(room / scale**2 / 1e5) / 10} million pixels"
        )
        yield Verdict(ERROR, f"{name}: views", found, fix)
