"""What the config asks of a data set: the systems to run, and what can be had of them."""

from __future__ import annotations

from wsss.config.systems import Chain, Config, System, system_of
from wsss.doctor.verdict import OK, Verdict


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
