"""The ways to train a classifier by ``training.kind``.

A new one is a module beside this one with the members of :class:`~.contract.TrainingMethod`, an entry here,
and a model of its settings in ``wsss/config/classifiers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsss.training_methods import recam, tags
from wsss.training_methods.contract import TrainingMethod

TRAINING_METHODS: dict[str, TrainingMethod] = {"tags": tags, "recam": recam}


def training_method(training: Mapping[str, Any]) -> TrainingMethod:
    """The way to train that the settings name; on image labels alone where they name none.

    Raises:
        ValueError: For a kind that there is not.
    """
    kind = training.get("kind", "tags")
    if kind not in TRAINING_METHODS:
        raise ValueError(f"training kind: expected one of {sorted(TRAINING_METHODS)}, found {kind!r}")
    return TRAINING_METHODS[kind]
