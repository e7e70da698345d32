"""Masks whose values mean what the configuration says, as label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wsss.data.records import Finding
from wsss.methods.void import VOID

MEANINGS = {"background": 0, "ignore": VOID}  # besides the classes
UNKNOWN = -1


def label_table(values: Mapping[int, str], classes: Sequence[str]) -> tuple[NDArray[np.int16], list[Finding]]:
    """The label that each value of a mask stands for.

    Args:
        values: Names of classes, ``background`` or ``ignore``, by value.
        classes: Foreground class names.

    Returns:
        Labels, (256,), -1 for values without a meaning; and findings of names that mean nothing.
    """
    labels = {**MEANINGS, **{name: index for index, name in enumerate(classes, start=1)}}
    findings = [
        Finding("bad settings", f"masks_values.{value}: expected {', '.join(labels)}, found {name!r}")
        for value, name in values.items()
        if name not in labels
    ]
    table = np.full(256, UNKNOWN, np.int16)
    for value, name in values.items():
        table[int(value)] = labels.get(name, UNKNOWN)
    return table, findings


def relabelled(mask: NDArray[np.uint8], table: NDArray[np.int16]) -> tuple[NDArray[np.uint8], list[int]]:
    """A mask's labels, uint8 (H, W), and its values that have no meaning."""
    labels = table[mask]
    return labels.astype(np.uint8), np.unique(mask[labels == UNKNOWN]).tolist()
