"""Gather what is known of several systems on one data set: one row per system, scores beside costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from pydantic import validate_call

from wsss.artefacts.formats import PathLike, Values, open_arrays, read_json, read_manifest, write_table
from wsss.artefacts.identity import identity_of
from wsss.artefacts.networks import names_of
from wsss.config.systems import System
from wsss.config.thresholds import UNREFINED
from wsss.data.published import STAGES, published_system
from wsss.evaluation.costs import Benchmarks, Cost, add, cost_of, map_cost, mean_seconds, ratio
from wsss.evaluation.systems import (
    FilesByRun,
    by_run,
    find_runs,
    networks,
    under_inference,
)
from wsss.methods.metric_table import SHOWN, column_name
from wsss.single_stage.registry import TOLD
from wsss.stages.evaluate.summarise_runs import spread

Row = dict[str, Any]

SCORES = {column_name(name): name for name in SHOWN}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # batch norm's, which are not trained


@validate_call
def run(
    *,
    manifest: PathLike,
    seeds: Sequence[PathLike] = (),
    pseudo: Sequence[PathLike] = (),
    segmentation: Sequence[PathLike] = (),
    weights: Sequence[PathLike] = (),
    table: PathLike,
    systems: Sequence[System],
    runs: Sequence[int],
    shards: Sequence[str],
    val_shards: Sequence[str],
    kind: str,
    benchmarks: PathLike,
) -> None:
    """Write the comparison; headers tell files apart, and what no file says is left empty.

    Args:
        manifest: The data set.
        seeds: Metrics of class maps.
        pseudo: Metrics of the training images' labels.
        segmentation: Metrics of predictions under each way of inference; a system's own is read.
        weights: Weights of all networks.
        table: Where to write the table, CSV: scores are fractions of 1.
        systems: What to compare.
        runs: Their numbers; deviations are sample deviations over them, empty for one.
        shards: Names of the parts that the work on training images was cut into.
        val_shards: Names of the parts that the prediction of val was cut into.
        kind: Kind of the data set; published figures exist for some.
        benchmarks: Folder of the tables in which Snakemake wrote each job's time and memory.
    """
    data = read_manifest(manifest)
    times = Benchmarks(benchmarks, data.dataset, shards, val_shards)
    files = {"seed": by_run(seeds), "pseudo": by_run(pseudo), "segmentation": by_run(segmentation)}
    networks_of = by_run(weights)
    rows, plain = [], None
    for system in systems:
        documents = {stage: _documents(found, system, stage, runs) for stage, found in files.items()}
        trained = _networks(networks_of, system, runs)
        plain = plain or (system if _is_plain(system, documents["seed"]) else None)
        rows.append(
            {
                **_identity(data.dataset, system, runs),
                **{key: value for stage in STAGES for key, value in _scores(stage, documents[stage]).items()},
                **_provenance(documents),
                **_parameters(trained, system),
                **_costs(times, system, documents, runs, len(data.split("val"))),
                **_published(kind, system, documents, trained),
                **{
                    key: value for stage in STAGES for key, value in _classes(stage, documents[stage]).items()
                },
            }
        )
    write_table(table, pd.DataFrame(_with_shares(_with_ratios(rows, systems, plain, times, runs), systems)))


def _documents(files: FilesByRun, system: System, stage: str, runs: Sequence[int]) -> list[Values]:
    chains = {"seed": system.maps, "pseudo": system.scored, "segmentation": system.segmentation}
    found: list[Values] = [read_json(path) for path in find_runs(files, runs, chains[stage])]
    if stage != "segmentation":
        return found
    return [under_inference(document, system.inference) for document in found]


def _identity(dataset: str, system: System, runs: Sequence[int]) -> Row:
    return {
        "system": system.name,
        "dataset": dataset,
        "stages": _stages(system),
        "classifier": system.classifier,
        "method": system.method,
        "refiner": system.refiner,
        "segmenter": system.segmenter,
        "runs": " ".join(map(str, runs)),
    }


def _stages(system: System) -> str:
    """Whether class maps come before the segmentation, or neither maps nor labels are made."""
    if not system.labels_by_itself:
        return "truth"
    return "single" if system.single else "multiple"


def _is_plain(system: System, seeds: Sequence[Values]) -> bool:
    """Whether a system's maps are CAM, of a classifier of their own and unrefined."""
    kinds = {document.get("maps", {}).get("settings", {}).get("kind") for document in seeds}
    return system.refiner == UNREFINED and system.trained is None and kinds == {"cam"}


def _with_ratios(
    rows: Sequence[Row],
    systems: Sequence[System],
    plain: System | None,
    times: Benchmarks,
    runs: Sequence[int],
) -> list[Row]:
    """The rows, each with its times up to class maps by those of CAM's first row; empty without one."""
    unit = None if plain is None else map_cost(times, plain, runs)
    result = []
    for system, row in zip(systems, rows, strict=True):
        own = map_cost(times, system, runs)
        ratios = {
            "train_in_cam": ratio(own.training, unit.training) if unit else None,
            "maps_in_cam": ratio(own.labelling, unit.labelling) if unit else None,
            "cam": plain.name if plain else None,
        }
        result.append({**row, **ratios})
    return result


def _with_shares(rows: Sequence[Row], systems: Sequence[System]) -> list[Row]:
    """The rows, each with its share of the upper bound's mIoU: of the same segmenter, or the first one."""
    bounds = {
        system.segmenter: row["segmentation_miou"]
        for system, row in reversed([*zip(systems, rows, strict=True)])
        if not system.labels_by_itself
    }
    first = next(reversed(bounds.values()), None)
    result = []
    for system, row in zip(systems, rows, strict=True):
        bound, own = bounds.get(system.segmenter, first), row["segmentation_miou"]
        share = own / bound if own is not None and bound else None
        result.append({**row, "segmentation_share": share})
    return result


def _scores(stage: str, documents: Sequence[Values]) -> Row:
    """A stage's scores over the runs, and what they were measured on."""
    result: Row = {}
    for name, key in SCORES.items():
        over = spread([document[key] for document in documents]) if documents else {}
        result |= {f"{stage}_{name}": over.get("mean"), f"{stage}_{name}_deviation": over.get("deviation")}
    first = documents[0] if documents else {}
    result |= {f"{stage}_{key}": first.get(key) for key in ("measured", "split", "images")}
    result[f"{stage}_rule"] = _rule(first)
    if stage == "seed":
        configured = [document["configured"] for document in documents]
        result["seed_threshold"] = _mean([document["threshold"] for document in documents])
        result["seed_configured_miou"] = _mean([scores["miou"] for scores in configured])
        result["seed_configured_threshold"] = _mean([scores["threshold"] for scores in configured])
        result["seed_configured_rule"] = configured[0].get("threshold_rule") if configured else None
        deviations = [scores.get("threshold_deviation") for scores in configured]
        result["seed_configured_threshold_deviation"] = _mean(
            deviations
        )  # over images, where each has its own
        result |= {
            f"seed_{rule}_miou": _mean([document["rules"][rule]["miou"] for document in documents])
            for rule in first.get("rules", {})
        }
    return result


def _rule(document: Values) -> str | None:
    """How a threshold was chosen, or by which way of inference labels were predicted."""
    if "inference" in document:
        return f"inference {document['inference']} ({_inference(document)})"
    if "threshold_chosen" not in document:
        return None
    if "configured" in document:  # the best of a sweep: another in each run
        return f"threshold: {document['threshold_chosen']}"
    if document["threshold"] is None:
        return f"threshold {document['threshold_chosen']}"
    return f"threshold {document['threshold']:g}, {document['threshold_chosen']}"


def _inference(document: Values) -> str:
    """What a way of inference does."""
    parts = [f"side {document['side']}"] if "side" in document else []
    if "scales" in document:
        parts.append("scales " + " ".join(f"{scale:g}" for scale in document["scales"]))
    parts += ["mirrored"] if document.get("mirror") else []
    return ", ".join([*parts, "dense CRF" if document.get("crf") else "no CRF"])


def _classes(stage: str, documents: Sequence[Values]) -> Row:
    if not documents:
        return {}
    names = [row["class"] for row in documents[0]["per_class"]]
    return {
        f"{stage}_iou_{name}": _mean([document["per_class"][label]["iou"] for document in documents])
        for label, name in enumerate(names)
    }


def _mean(values: Sequence[float | None]) -> float | None:
    return spread(values)["mean"] if values else None


def _provenance(documents: Mapping[str, Sequence[Values]]) -> Row:
    """What the chain's networks, and their initial weights before, learnt from, over all stages and runs."""
    every = [document for stage in documents.values() for document in stage]
    return {
        "supervision": _labels(every, "initial_supervision"),
        "training_supervision": _labels(every, "training_supervision"),
        "pixel_labels": any(document["pixel_labels_used"] for document in every) if every else None,
    }


def _labels(documents: Sequence[Values], key: str) -> str | None:
    """A part of the chain and its labels after the other; None where the files name none."""
    seen = {pair for document in documents for pair in document.get(key, {}).items()}
    return "; ".join(f"{role}: {labels}" for role, labels in sorted(seen)) or None


def _networks(
    files: FilesByRun, system: System, runs: Sequence[int]
) -> dict[str, tuple[int, dict[str, Any]]]:
    """Number of parameters and settings of each network that is there, by its part in the system."""
    found = {role: find_runs(files, runs[:1], chain) for role, chain in networks(system).items()}
    return {role: _network(paths[0]) for role, paths in found.items() if paths}


def _network(path: PathLike) -> tuple[int, dict[str, Any]]:
    with open_arrays(path, "weights") as shard:
        names = [name for name in names_of(shard) if not name.endswith(STATISTICS)]
        kind = identity_of(path).settings.get("kind")  # of a single-stage method
        return sum(map(shard.size, names)), {**shard.params, "kind": kind}


def _parameters(trained: Mapping[str, tuple[int, Any]], system: System) -> Row:
    """Numbers of parameters: of all the chain's networks, and of the one that labels new images."""
    complete = set(trained) == set(networks(system))
    predictor = "single_stage" if system.single else "segmenter"
    return {
        "parameters": sum(count for count, _ in trained.values()) if complete else None,
        "parameters_predicting": trained[predictor][0] if predictor in trained else None,
    }


def _costs(
    times: Benchmarks,
    system: System,
    documents: Mapping[str, Sequence[Values]],
    runs: Sequence[int],
    images: int,
) -> Row:
    """Times of the jobs behind the system, means over the runs, and the largest memory of one."""
    cost = cost_of(times, system, runs, pseudo=bool(documents["pseudo"]))
    peak = add(part for group in cost for part in group)
    seconds = mean_seconds(cost.prediction)
    return {
        "train_minutes": _minutes(cost.training),
        "label_minutes": _minutes(cost.labelling),
        "images_per_second": images / seconds if seconds else None,
        "peak_memory_mb": peak.memory if peak else None,
    }


def _minutes(costs: Iterable[Cost | None]) -> float | None:
    seconds = mean_seconds(costs)
    return None if seconds is None else seconds / 60


def _published(
    kind: str,
    system: System,
    documents: Mapping[str, Sequence[Values]],
    trained: Mapping[str, tuple[int, dict[str, Any]]],
) -> Row:
    facts = _facts(system, documents, {role: settings for role, (_, settings) in trained.items()})
    entry = published_system(kind, facts) or {}
    columns = {
        f"published_{stage}_{name}": entry.get(stage, {}).get(name) for stage in STAGES for name in SCORES
    }
    return {"published_as": entry.get("name"), "published_in": entry.get("source"), **columns}


def _facts(
    system: System, documents: Mapping[str, Sequence[Values]], settings: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """What decides whether a published figure is about such a system."""
    every = [document for stage in documents.values() for document in stage]
    facts: dict[str, Any] = {"pixel_labels": any(document["pixel_labels_used"] for document in every)}
    own = settings.get("single_stage" if system.single else "classifier", {})
    if own.get("kind"):  # a single-stage method, which may also be the classifier of a chain
        facts |= {"single_stage": own["kind"], **TOLD[own["kind"]](own["training"])}
    if system.single:
        facts["side"] = documents["segmentation"][0].get("side") if documents["segmentation"] else None
    else:
        maps = documents["seed"][0].get("maps", {}) if documents["seed"] else {}
        affinity = maps.get("views", {}).get("affinity", {"kind": "attention"})["kind"]
        method = {"direction": "gather", "soft": False, **maps.get("settings", {})}  # as if not given
        method |= {"kind": derived["kind"]} if (derived := maps.get("views", {}).get("maps")) else {}
        facts |= {"method": method, "affinity": affinity, "refined": system.refiner != UNREFINED}
        facts["training"] = own.get("training", {}).get("kind", "tags")
    return {**facts, "network": own.get("network", {})}
