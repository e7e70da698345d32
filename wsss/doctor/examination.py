"""All checks together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from wsss.configuration import Config, ConfigError
from wsss.doctor.cluster import check_cluster
from wsss.doctor.data import Facts, check_dataset
from wsss.doctor.disk import check_disk
from wsss.doctor.machine import check_gpus, check_packages, check_python
from wsss.doctor.settings import ROOT, named_datasets, read_config
from wsss.doctor.verdict import ERROR, OK, Verdict
from wsss.doctor.weights import check_weights

RESULTS = Path("results")


class Question(NamedTuple):
    """What is to be examined.

    Attributes:
        overlays: Files laid over ``config.yaml``.
        datasets: Data sets that must be there; the others only if they are.
        profile: Folder of a SLURM profile.
        root: Folder of ``config.yaml`` and of the rules.
    """

    overlays: Sequence[Path] = ()
    datasets: Sequence[str] = ()
    profile: Path = ROOT / "profiles" / "slurm"
    root: Path = ROOT


def examine(question: Question) -> list[Verdict]:
    """Look at everything, side by side where tools have to be waited for."""
    with ThreadPoolExecutor() as pool:
        machine = [pool.submit(check_python), pool.submit(check_packages)]
        gpus = pool.submit(check_gpus)
        cluster = pool.submit(check_cluster, question.profile, question.root / "rules")
        configured = _configured(question)
        found = [*(one.result() for one in machine), *gpus.result(), *configured, *cluster.result()]
    return found


def _configured(question: Question) -> list[Verdict]:
    """What depends on the config; nothing can be said of one that does not fit together."""
    try:
        config = read_config(question.overlays, question.root)
        named = named_datasets(question.overlays)
    except ConfigError as error:
        return [
            Verdict(
                ERROR, "config", " ".join(str(error).split()), "correct it; config.yaml explains each key"
            )
        ]
    unknown = [name for name in question.datasets if name not in config["datasets"]]
    if unknown:
        mend = f"take of {', '.join(config['datasets'])}, or give the file that adds it with --config"
        return [Verdict(ERROR, "config", f"no data set is called {', '.join(unknown)}", mend)]
    files = ", ".join(map(str, ("config.yaml", *question.overlays)))
    fits = Verdict(OK, "config", f"{files}: {len(config['datasets'])} data sets, all parts fit together")
    return [fits, *_datasets(config, set(question.datasets) or named, bool(question.datasets))]


def _datasets(config: Config, wanted: set[str], alone: bool) -> list[Verdict]:
    """Data sets, and what the runs on those that are there need; ``alone``: only the wanted ones."""
    verdicts: list[Verdict] = []
    facts: dict[str, Facts] = {}
    used = []
    for name, settings in config["datasets"].items():
        if alone and name not in wanted:
            continue
        found, known = check_dataset(name, settings, RESULTS / name / "source", name in wanted)
        verdicts += found
        if known is not None:
            facts[name] = known
        if known is not None or name in wanted:
            used.append(name)
    return [*verdicts, *check_weights(config, used), check_disk(config, facts, RESULTS)]
