"""Choose one background score for all training images by a rule on the values of their class maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsss.artefacts.formats import PathLike, write_json
from wsss.evaluation.counts import add_counts
from wsss.labelling.thresholds import FORM, VERSION, data_set_threshold, rule_chosen, sweep_values


def run(*, counts: Sequence[PathLike], chosen: PathLike, rule: str, thresholds: Mapping[str, float]) -> None:
    """Write the threshold that a rule finds in the added histograms of all shards.

    Args:
        counts: Values of the class maps of all shards.
        chosen: Where to write the threshold, JSON.
        rule: Name of a rule of a data set, such as ``otsu_dataset``.
        thresholds: ``start``, ``stop`` and ``step`` of the sweep; the nearest of its steps is taken.
    """
    total = add_counts(counts)
    threshold, _ = data_set_threshold(rule, total.matrices[0], sweep_values(thresholds))
    write_json(
        chosen,
        {
            "form": FORM,
            "version": VERSION,
            "rule": rule,
            "threshold": threshold,
            "threshold_chosen": rule_chosen(rule),
            "images": total.images,
            "maps": total.params["maps"],
        },
    )
