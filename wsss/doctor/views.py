"""Whether the views of the classifiers' scales can be taken of images of the sizes that a data set has."""

from __future__ import annotations

from collections.abc import Mapping

from wsss.config.systems import Config
from wsss.config.views import excesses, largest_views
from wsss.doctor.data import Facts
from wsss.doctor.verdict import ERROR, Verdict


def check_views(config: Config, facts: Mapping[str, Facts]) -> list[Verdict]:
    """An error for each data set with images that ``prepare_manifest`` refuses, and why.

    Args:
        config: The whole configuration.
        facts: What is known of the data sets to be used, by name.
    """
    return [
        Verdict(ERROR, f"{name}: views", excess.found, excess.fix)
        for name, known in facts.items()
        for excess in excesses(known.mapped, largest_views(config, config["datasets"][name]))
    ]
