"""Which thresholds a chain cuts its class maps by, and whether those of refiners and data sets fit the maps.

A number was chosen on the maps of some method and is at home there alone; a rule finds its number in the
maps that it cuts. Nothing here imports torch: Snakemake asks each time it plans.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]
UNREFINED = "none"
DATA_SET_RULE = "_dataset"  # end of the name of a threshold's rule that looks at all training images at once
LABEL_SCORES = ("foreground", "background")


def of_data_set(threshold: Any) -> bool:
    """Whether a threshold is a rule on a whole data set: a file then holds what the rule found."""
    return isinstance(threshold, str) and threshold.endswith(DATA_SET_RULE)


def map_kind(config: Config, classifier: str, method: str) -> str:
    """Kind of a chain's class maps: of the method, or of what derives the classifier's maps that it takes."""
    derived = config["classifiers"].get(classifier, {}).get("maps")
    kind: str = (derived or config["methods"][method])["kind"]
    return kind


def pseudo_settings(
    config: Config, dataset: Config, classifier: str, method: str, refiner: str
) -> dict[str, Any]:
    """How a chain's pseudo labels are cut.

    Args:
        config: The configuration.
        dataset: The data set's settings; its ``thresholds`` replace the threshold of unrefined maps.
        classifier: Name of the classifier, or of a single stage.
        method: Name of the method that made the maps.
        refiner: Name of what refined them.

    Returns:
        ``threshold``, a number or a rule, and ``crf``.
    """
    settings = dict(config["refiners"][refiner]["pseudo"])
    kind, chosen = map_kind(config, classifier, method), dataset.get("thresholds", {})
    if refiner == UNREFINED and kind in chosen:
        settings["threshold"] = chosen[kind]
    return settings


def unsuited(config: Config, classifier: str, method: str, refiner: str) -> str | None:
    """What is wrong where a refiner's thresholds were chosen for other maps, and which refiners suit."""
    kind, refiners = map_kind(config, classifier, method), config["refiners"]
    suited = refiners[refiner].get("maps")
    if suited is None or kind in suited:
        return None
    others = {
        name: other.get("network") == refiners[refiner].get("network")
        for name, other in refiners.items()
        if "network" in other and kind in (other.get("maps") or [kind])
    }
    same = [name for name, alike in others.items() if alike]
    return (
        f"the thresholds of {refiner!r} were chosen for maps of {' and '.join(suited)} "
        f"(refiners.{refiner}.maps), found method {method!r} of {classifier!r}, which makes maps of kind "
        f"{kind}; "
        f"take {' or '.join(same or others) or 'a refiner whose thresholds are rules'}"
    )


def check_refiners(config: Config) -> list[str]:
    """Findings of all refiners of a configuration, each with its key."""
    refiners = config["refiners"]
    if UNREFINED not in refiners or "network" in refiners[UNREFINED]:
        return [f"refiners.{UNREFINED}: expected a refiner without a network, for maps as they are"]
    findings = []
    for name, refiner in refiners.items():
        key = f"refiners.{name}"
        if name != UNREFINED and "network" not in refiner:
            findings.append(f"{key}: expected labels, network, initial, training, walk; found none")
        findings += _check_step(config, f"{key}.pseudo.threshold", refiner["pseudo"]["threshold"])
        findings += _check_label_thresholds(f"{key}.labels", refiner.get("labels", {}))
        findings += _check_constants(key, refiner)
    return findings


def check_thresholds(config: Config, dataset: Config) -> list[str]:
    """Findings of the thresholds that a data set has for unrefined maps, by their kind."""
    known = {method["kind"] for method in config["methods"].values()}
    known |= {variant["maps"]["kind"] for variant in config["classifiers"].values() if variant["maps"]}
    findings = []
    for kind, threshold in dataset.get("thresholds", {}).items():
        if kind not in known:
            findings.append(
                f"thresholds: expected kinds of maps ({', '.join(sorted(known))}), found {kind!r}"
            )
        findings += _check_step(config, f"thresholds.{kind}", threshold)
    return findings


def _check_constants(key: str, refiner: Config) -> list[str]:
    """Findings of numbers of which nobody says for whose maps they were chosen."""
    labels = {f"labels.{name}": refiner.get("labels", {}).get(name) for name in (*LABEL_SCORES, "threshold")}
    settings = labels | {"pseudo.threshold": refiner["pseudo"]["threshold"]}
    constant = [f"{name} {value}" for name, value in settings.items() if isinstance(value, int | float)]
    if not constant or refiner.get("maps"):
        return []
    return [
        f"{key}.maps: expected the kinds of method for whose maps {', '.join(constant)} was chosen, such as "
        "[cam], found none; name them, or let all thresholds follow the maps as in refiners.irn_rule"
    ]


def _check_label_thresholds(key: str, labels: Config) -> list[str]:
    """Findings of scores whose order is wrong or unknown, and of relative ones relative to nothing."""
    relative = [name for name in LABEL_SCORES if isinstance(labels.get(name), Mapping)]
    if len(relative) == 1:
        return [
            f"{key}: expected foreground and background both as numbers or both relative to threshold, for "
            f"else nothing says which is the higher, found only {relative[0]} relative"
        ]
    if relative and labels.get("threshold") is None:
        return [
            f"{key}.threshold: expected a number or a rule, for {relative[0]} is relative to it, found none"
        ]
    if not relative and labels.get("threshold") is not None:
        return [
            f"{key}.threshold: expected none, for neither foreground nor background is relative to it, "
            f"found {labels['threshold']}; give foreground {{above: ...}} and background {{below: ...}}"
        ]
    if labels and not relative and labels["foreground"] < labels["background"]:
        return [
            f"{key}.foreground: expected at least background, {labels['background']}, "
            f"found {labels['foreground']}"
        ]
    return []


def _check_step(config: Config, key: str, threshold: float | str) -> list[str]:
    """Findings of a number at which the sweep does not score the maps."""
    if isinstance(threshold, str) or _in_sweep(threshold, config["evaluation"]["thresholds"]):
        return []
    return [f"{key}: expected a step of evaluation.thresholds, or a rule, found {threshold}"]


def _in_sweep(threshold: float, sweep: Config) -> bool:
    steps = (threshold - sweep["start"]) / sweep["step"]
    inside = sweep["start"] - 1e-9 <= threshold <= sweep["stop"] + 1e-9
    return inside and math.isclose(steps, round(steps), abs_tol=1e-6)
