"""What each rule's jobs ask for, as Snakemake reads it from the rules and a profile."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

from wsss.config.errors import ConfigError
from wsss.config.systems import Config


class Request(NamedTuple):
    """What a rule's job asks for at one attempt, of each of its nodes; its partition, if one is named."""

    rule: str
    attempt: int
    minutes: float
    cpus: int
    megabytes: float
    gpus: int
    partition: str | None

    def __str__(self) -> str:
        try_ = f" at try {self.attempt}" if self.attempt > 1 else ""
        gpus = f", {self.gpus} GPU" if self.gpus else ""
        return (
            f"{self.rule}{try_}: {self.cpus} CPUs, {self.megabytes:.0f} MB, {self.minutes:.0f} minutes{gpus}"
        )


def read_requests(
    profile: Path, config: Config, overlays: Sequence[Path], root: Path
) -> tuple[list[Request], list[str]]:
    """Ask Snakemake what the jobs on real data ask for.

    Args:
        profile: Folder of the profile.
        config: The whole configuration.
        overlays: The user's files that it was read from.
        root: Folder of the Snakefile.

    Returns:
        The requests of all rules at every try, and in words what can only be told when a job is due.

    Raises:
        ConfigError: If Snakemake refuses the profile.
    """
    requests: list[Request] = []
    unread = []
    with _workflow(profile, overlays, root) as (workflow, retries):
        wildcards = _wildcards(config)
        for rule in [rule for rule in workflow.rules if rule.is_script]:
            try:
                requests += [_request(rule, wildcards, attempt) for attempt in range(1, retries + 2)]
            except Exception as error:  # of any kind: a function of the rules or of the profile
                unread.append(f"{rule.name}: {' '.join(str(error).split())[:100]}")
    return requests, unread


@contextmanager
def _workflow(profile: Path, overlays: Sequence[Path], root: Path) -> Iterator[tuple[Any, int]]:
    """Snakemake's workflow, with a profile's resources and threads, and how often a job is tried again."""
    from snakemake.api import SnakemakeApi  # type: ignore[import-untyped]
    from snakemake.cli import parse_args  # type: ignore[import-untyped]
    from snakemake.settings import types  # type: ignore[import-untyped]

    said = io.StringIO()
    snakefile = root / "Snakefile"
    try:
        with redirect_stderr(said):
            _, options = parse_args(
                ["--snakefile", str(snakefile), "--workflow-profile", str(profile.absolute())]
            )
    except (SystemExit, Exception) as error:  # what a plugin needs may be missing, too
        reason = said.getvalue() if isinstance(error, SystemExit) else str(error)
        raise ConfigError(f"{profile}: {reason.strip().splitlines()[-1]}") from error
    resources = types.ResourceSettings(
        overwrite_threads=options.set_threads,
        overwrite_resources=options.set_resources,
        default_resources=options.default_resources,
    )
    with SnakemakeApi(types.OutputSettings(quiet={types.Quietness.ALL})) as api:
        settings = types.ConfigSettings(configfiles=overlays)
        yield api.workflow(resources, settings, snakefile=snakefile)._workflow, options.retries


def _wildcards(config: Config) -> Any:
    """Those of the main chain of the first data set that is not generated for CPUs."""
    from snakemake.iocontainers import Wildcards  # type: ignore[import-untyped]

    datasets = config["datasets"]
    name = min(datasets, key=lambda name: datasets[name]["kind"] == "sample")
    main, single = datasets[name]["main"], datasets[name].get("single_stage") or {}
    trained = {name: refiner for name, refiner in config["refiners"].items() if "network" in refiner}
    chosen = {
        "dataset": name,
        "classifier": _variant(config["classifiers"], main["classifier"]),
        "refiner": _variant(trained, main["refiner"]),
        "segmenter": main["segmenter"],
        "single": _variant(config["single_stage"], single.get("main")),
    }
    return Wildcards(fromdict=chosen)


def _variant(variants: Mapping[str, Any], wanted: str | None) -> str | None:
    return wanted if wanted in variants else next(iter(variants), None)


def _request(rule: Any, wildcards: Any, attempt: int) -> Request:
    """A job's request; there are no inputs yet, and what depends on their size is an error."""
    asked = dict(rule.expand_resources(wildcards, None, attempt).items())
    nodes = max(1, asked.get("nodes") or 1)
    return Request(
        rule.name,
        attempt,
        float(asked.get("runtime") or 0),
        math.ceil(asked["_cores"] / nodes),  # of each node, where a job's processes are spread over several
        float(asked.get("mem_mb") or 0),
        math.ceil(asked["gpu"] / nodes),
        asked.get("slurm_partition"),
    )
