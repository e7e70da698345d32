"""Finds terms of a loss that a training was given a weight for and that never acted."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_table

log = logging.getLogger(__name__)


def warn_of_idle_terms(history: PathLike, weights: Mapping[str, float]) -> list[str]:
    """Say which terms with a weight were 0 in every update: what was trained is the network without them.

    Args:
        history: CSV of a finished training, a row per update and a column per term.
        weights: Each term's weight in the loss.

    Returns:
        The names of these terms.
    """
    rows = read_table(history)
    idle = [name for name, weight in weights.items() if weight > 0 and not rows[name].any()]
    for name in idle:
        log.warning(
            "%s: %s was 0 in all %d updates although its weight is %g: the network is the same as without it",
            history,
            name,
            len(rows),
            weights[name],
        )
    return idle
