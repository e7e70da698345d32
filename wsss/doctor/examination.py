"""All checks together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wsss.config.datasets import data_of
from wsss.config.errors import ConfigError
from wsss.config.reading import ROOT, named_datasets, read_config
from wsss.config.systems import Config
from wsss.data.truth import unscored
from wsss.doctor.cluster import check_cluster
from wsss.doctor.data import Facts, check_dataset, check_views
from wsss.doctor.disk import check_disk
from wsss.doctor.machine import check_gpus, check_packages
from wsss.doctor.plans import check_runs
from wsss.doctor.verdict import ERROR, OK, Verdict
from wsss.doctor.weights import check_weights

RESULTS = Path("results")
PROFILE = ROOT / "profiles" / "slurm"


def examine(
    overlays: Sequence[Path] = (), datasets: Sequence[str] = (), profile: Path = PROFILE
) -> list[Verdict]:
    """Look at everything, side by side where tools have to be waited for.

    Args:
        overlays: Files laid over ``config.yaml``.
        datasets: Data sets that must be there; without any those that the overlays speak of must, and all
            others are looked at if they are there.
        profile: Folder of a SLURM profile.
    """
    with ThreadPoolExecutor() as pool:
        packages, gpus = pool.submit(check_packages), pool.submit(check_gpus)
        configured = _configured(overlays, datasets, profile)
        return [packages.result(), *gpus.result(), *configured]


def _configured(overlays: Sequence[Path], datasets: Sequence[str], profile: Path) -> list[Verdict]:
    """The configuration, and all that it asks for."""
    try:
        config = read_config(overlays)
        wanted = datasets or named_datasets(overlays)
    except ConfigError as error:
        fix = "correct it; wsss/config/ explains each key"
        return [Verdict(ERROR, "config", " ".join(str(error).split()), fix)]
    cluster = check_cluster(profile, config, overlays)
    if unknown := [name for name in datasets if name not in config["datasets"]]:
        fix = f"take of {', '.join(config['datasets'])}, or give the file that adds it with --config"
        return [Verdict(ERROR, "config", f"no data set is called {', '.join(unknown)}", fix), *cluster]
    files = ", ".join(map(str, ("config.yaml", *overlays)))
    found = f"{files}: {len(config['datasets'])} data sets, all parts fit together"
    checked = _datasets(config, datasets or config["datasets"], wanted)
    return [Verdict(OK, "config", found), *checked, *cluster]


def _datasets(config: Config, names: Iterable[str], wanted: Collection[str]) -> list[Verdict]:
    """Data sets, and what the runs on those that are there, or are wanted, need."""
    verdicts: list[Verdict] = []
    facts: dict[str, Facts] = {}
    for name in names:
        settings = config["datasets"][name]
        data, source = data_of(settings), RESULTS / name / "source"
        found, known = check_dataset(name, data, source, name in wanted, settings["examples"]["images"])
        verdicts += found
        if known is not None:
            facts[name] = known
            verdicts.append(check_runs(name, settings, unscored(data, "val")))
    used = [name for name in names if name in facts or name in wanted]
    sized = check_views(config, facts)
    return [*verdicts, *sized, *check_weights(config, used), check_disk(config, facts, RESULTS)]
