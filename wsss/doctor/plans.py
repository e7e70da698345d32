"""What the config asks of a data set: the networks to train, and the folders that a run fills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wsss.config.systems import Chain, Config, System, system_of, trained_as
from wsss.doctor.verdict import OK, Verdict


class Network(NamedTuple):
    """A network that is trained: its section and name in the config, and the run's folder of its weights."""

    section: str
    variant: str
    folder: str


def check_runs(name: str, dataset: Config, lacking: str | None) -> Verdict:
    """What is run on a data set where nothing else is asked for.

    Args:
        name: Its name.
        dataset: Its entry in the config.
        lacking: What it lacks for scores, as :func:`wsss.data.truth.unscored` says.
    """
    runs, single = dataset["runs"], dataset.get("single_stage")
    words = [
        f"main chain {', '.join(dataset['main'].values())}",
        f"single stage {single['main']}" if single else "no single stage",
        f"inferences {', '.join(dataset['inferences'])}",
        f"run{'s' * (len(runs) > 1)} {', '.join(map(str, runs))}",
        f"{dataset['shards']} shards of train, {dataset['val_shards']} of val",
    ]
    can = ", ".join(targets(name, not lacking))
    return Verdict(OK, f"{name}: runs", f"{'; '.join(words)}; can be had: {can}")


def targets(name: str, scored: bool) -> list[str]:
    """What can be had of a data set: the predictor, pictures and, where there is truth, scores."""
    files = ["predictor", *(["seg_miou.json"] if scored else []), "examples.png"]
    return [f"results/{name}/{file}" for file in files]


def main_systems(dataset: Config) -> list[System]:
    """The main chain and the main single stage."""
    chain = Chain(**dataset["main"])._asdict()
    chain.pop("inference")
    single = dataset.get("single_stage")
    entries = [{"name": "main", **chain}]
    entries += [{"name": "single stage", "single_stage": single["main"]}] if single else []
    return [system_of(entry, dataset) for entry in entries]


def all_systems(dataset: Config) -> list[System]:
    """These, the systems of the comparison, and the variants of the table of ablations."""
    compared = (dataset.get("compare") or {}).get("systems", [])
    variants = (dataset.get("single_stage") or {}).get("ablation", [])
    ablation = [{"name": name, "single_stage": name} for name in variants]
    return [*main_systems(dataset), *(system_of(entry, dataset) for entry in [*compared, *ablation])]


def networks(config: Config, system: System) -> Iterator[Network]:
    """The networks that a system trains."""
    if not system.labels_by_itself:
        yield Network("segmenters", str(system.segmenter), system.segmentation)
        return
    first = "single_stage" if system.classifier in config["single_stage"] else "classifiers"
    trained = trained_as(config, system.classifier)
    yield Network(first, trained, trained)
    if "network" in config["refiners"][system.refiner]:
        yield Network("refiners", system.refiner, f"{system.maps}/irn")
    if system.segmenter:
        yield Network("segmenters", system.segmenter, system.segmentation)
