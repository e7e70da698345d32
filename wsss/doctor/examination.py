"""All checks together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from wsss.config.errors import ConfigError
from wsss.config.reading import ROOT, named_datasets, read_config
from wsss.config.systems import Config
from wsss.data.truth import unscored
from wsss.doctor.cluster import check_cluster
from wsss.doctor.data import Facts, check_dataset
from wsss.doctor.disk import check_disk
from wsss.doctor.machine import check_gpus, check_packages, check_python
from wsss.doctor.plans import check_runs
from wsss.doctor.verdict import ERROR, OK, Verdict
from wsss.doctor.views import check_views
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
        machine = pool.submit(lambda: [check_python(), check_packages()])
        gpus = pool.submit(check_gpus)
        try:
            config = read_config(question.overlays, question.root)
            named = named_datasets(question.overlays)
        except ConfigError as error:
            fix = "correct it; wsss/config/ explains each key"
            wrong = Verdict(ERROR, "config", " ".join(str(error).split()), fix)
            return [*machine.result(), *gpus.result(), wrong]
        data = _check_data(config, question, named)
        cluster = check_cluster(question.profile, config, question.overlays, question.root)
        return [*machine.result(), *gpus.result(), *data, *cluster]


def _check_data(config: Config, question: Question, named: set[str]) -> list[Verdict]:
    """The data sets of the question, or else those that are there and those that the user's files name."""
    unknown = [name for name in question.datasets if name not in config["datasets"]]
    if unknown:
        fix = f"take of {', '.join(config['datasets'])}, or give the file that adds it with --config"
        return [Verdict(ERROR, "config", f"no data set is called {', '.join(unknown)}", fix)]
    files = ", ".join(map(str, ("config.yaml", *question.overlays)))
    fits = Verdict(OK, "config", f"{files}: {len(config['datasets'])} data sets, all parts fit together")
    if question.datasets:
        return [fits, *_datasets(config, question.datasets, question.datasets)]
    return [fits, *_datasets(config, config["datasets"], named)]


def _datasets(config: Config, names: Iterable[str], wanted: Collection[str]) -> list[Verdict]:
    """Data sets, and what the runs on those that are there, or are wanted, need."""
    verdicts: list[Verdict] = []
    facts: dict[str, Facts] = {}
    for name in names:
        source = RESULTS / name / "source"
        settings = config["datasets"][name]
        found, known = check_dataset(name, settings, source, name in wanted)
        verdicts += found
        if known is not None:
            facts[name] = known
            verdicts.append(check_runs(name, settings, unscored(settings, "val")))
    used = [name for name in names if name in facts or name in wanted]
    sized = check_views(config, facts)
    return [*verdicts, *sized, *check_weights(config, used), check_disk(config, facts, RESULTS)]
