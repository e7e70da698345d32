"""Whether the settings of a classifier fit together, as far as a schema cannot say.

Nothing here imports torch: Snakemake asks each time it plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLOURS = ("mean", "std")


def check_classifiers(config: Mapping[str, Any]) -> list[str]:
    """Findings of all classifiers of a configuration, each with its key."""
    return [
        f"classifiers.{name}.{finding}"
        for name, variant in config["classifiers"].items()
        for finding in [*_check_start(variant), *_check_colours(variant["network"])]
    ]


def _check_start(variant: Mapping[str, Any]) -> list[str]:
    if variant["network"]["kind"] != "conformer" or not variant["initial"].get("timm"):
        return []
    return ["initial.timm: expected a file for a Conformer, which timm does not have, found true"]


def _check_colours(network: Mapping[str, Any]) -> list[str]:
    """Images come normalised for a pair's CNN, whose own keys may repeat by what."""
    cnn = network["cnn"] if network["kind"] == "pair" else {}
    return [
        f"network.cnn.{key}: expected {network[key]} as network.{key}, found {cnn[key]}; leave it out"
        for key in COLOURS
        if cnn.get(key, network[key]) != network[key]
    ]
