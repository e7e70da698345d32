"""The ways to train a classifier by ``training.kind``, and what the stage needs of them.

A new one is a module beside this one with the members of :class:`~.contract.TrainingMethod`, an entry in
:data:`TRAINING_METHODS`, and a model of its settings in ``wsss/config/classifiers.py``. The stage takes the
dict of each member, so that its digest covers the kind that it runs and no other.
"""

from __future__ import annotations

from wsss.training_methods import recam, tags
from wsss.training_methods.contract import Finish, Groups, Losses, Prepare, TrainingMethod

TRAINING_METHODS: dict[str, TrainingMethod] = {"tags": tags, "recam": recam}

PREPARED: dict[str, Prepare] = {kind: method.prepared for kind, method in TRAINING_METHODS.items()}
LOSSES: dict[str, Losses] = {kind: method.losses for kind, method in TRAINING_METHODS.items()}
GROUPS: dict[str, Groups] = {kind: method.groups for kind, method in TRAINING_METHODS.items()}
TRAINED: dict[str, Finish] = {kind: method.trained for kind, method in TRAINING_METHODS.items()}
