"""What a SLURM profile asks for, beside what the cluster's partitions offer.

A request that no node can serve is not refused on most clusters: its job waits forever.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsss.config.errors import ConfigError
from wsss.config.reading import ROOT, read_mapping
from wsss.config.systems import Config
from wsss.doctor.jobs import Request, read_requests
from wsss.doctor.machine import ask
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, listed

FORMAT = "%R|%a|%l|%c|%m|%G|%T"  # partition, up, time limit, CPUs and MB of a node, its GPUs, its state
USELESS = ("down", "drain", "fail", "inval", "unk")  # beginnings of states of nodes that run no job
FORGETTING = 3  # times the seconds before the first look at a job, for which squeue must remember it


class Nodes(NamedTuple):
    """Nodes of one kind in a partition; time limit in minutes (infinite where there is none)."""

    partition: str
    usable: bool
    minutes: float
    cpus: int
    megabytes: int
    gpus: int

    def serves(self, asked: Request) -> bool:
        """Whether such a node has all that a job asks for."""
        return all(mine >= wanted for mine, wanted in zip(self[2:], asked[2:6], strict=True))


def check_cluster(
    profile: Path, config: Config, overlays: Sequence[Path] = (), root: Path = ROOT
) -> list[Verdict]:
    """Whether the cluster has the partitions of a profile, and nodes for what its jobs ask for.

    Args:
        profile: Folder of the profile.
        config: The whole configuration.
        overlays: The user's files that it was read from.
        root: Folder of the Snakefile.
    """
    if shutil.which("sinfo") is None:
        return [Verdict(OK, "cluster", "no sinfo on this machine: it submits to no SLURM cluster")]
    nodes = read_nodes(ask("sinfo", "--noheader", "--exact", f"--format={FORMAT}") or "")
    if not nodes:
        fix = "ask the cluster's administrators; a run without the profile needs none"
        return [Verdict(WARNING, "cluster", "sinfo is here and does not answer", fix)]
    try:
        settings = read_mapping(profile / "config.yaml")
        partitions = _with_limits(profile, settings)
        requests, unread = read_requests(profile, config, overlays, root)
    except ConfigError as error:
        return [Verdict(ERROR, "cluster", str(error), "name a profile's folder with --profile")]
    named = {one.partition: False for one in requests if one.partition} | partitions
    found = list(_check_partitions(profile, named, nodes))
    if all(verdict.status != ERROR for verdict in found):
        usable = [one for one in nodes if one.partition in named or not named]
        found.append(_check_requests(profile, requests, usable))
    if unread:
        fix = "write a number with a unit, or arithmetic of `attempt` and `threads`"
        found.append(Verdict(WARNING, "cluster: jobs", f"not compared in {profile}: {listed(unread)}", fix))
    return [*found, *_check_memory_of_squeue(settings)]


def _with_limits(profile: Path, settings: Mapping[str, Any]) -> dict[str, bool]:
    """The partitions among which the plugin chooses, and whether the profile takes each for one with GPUs."""
    file = settings.get("slurm-partition-config")
    limits = read_mapping(profile / file).get("partitions") if file else None
    return {name: bool((values or {}).get("max_gpu")) for name, values in (limits or {}).items()}


def read_nodes(answer: str) -> list[Nodes]:
    """The kinds of nodes that ``sinfo`` lists in :data:`FORMAT`."""
    rows = [line.split("|") for line in answer.splitlines() if line.count("|") == FORMAT.count("|")]
    return [
        Nodes(
            partition,
            up == "up" and not state.startswith(USELESS),
            _minutes(limit),
            _number(cpus),
            _number(megabytes),
            _gpus(gres),
        )
        for partition, up, limit, cpus, megabytes, gres, state in rows
    ]


def _number(text: str) -> int:
    """A number that ``sinfo`` may follow by a plus."""
    return int(re.sub(r"\D.*", "", text) or 0)


def _gpus(gres: str) -> int:
    """GPUs of a node, from such as ``gpu:2`` or ``gpu:a100:4(S:0-1),shard:8``."""
    plain = re.sub(r"\(.*?\)", "", gres)
    last = [part.split(":")[-1] for part in plain.split(",") if part.split(":")[0] == "gpu"]
    return sum(int(count) if count.isdigit() else 1 for count in last)


def _minutes(limit: str) -> float:
    """A time limit of SLURM's, which may be ``infinite``, in minutes."""
    from snakemake_executor_plugin_slurm.utils import time_to_seconds

    return float(time_to_seconds(limit)) / 60 if limit[:1].isdigit() else float("inf")


def _check_partitions(profile: Path, named: Mapping[str, bool], nodes: Sequence[Nodes]) -> Iterator[Verdict]:
    """Whether the named partitions are there, with nodes that work, and GPUs where the profile wants them."""
    subject, there = "cluster: partitions", listed(list(dict.fromkeys(one.partition for one in nodes)), 8)
    if absent := [name for name in named if all(name != one.partition for one in nodes)]:
        found = f"{profile} names {listed(absent, 8)}; the cluster has {there}"
        yield Verdict(ERROR, subject, found, f"name the cluster's in {profile}")
        return
    yield Verdict(OK, subject, f"{listed(list(named), 8) or 'the default one'}, of {there}")
    for name, gpus in named.items():
        usable = [one for one in nodes if one.partition == name and one.usable]
        if not usable:
            found = f"{name} has no node that is up"
            yield Verdict(WARNING, f"cluster: {name}", found, "its jobs wait; ask the administrators")
        elif gpus and not any(one.gpus for one in usable):
            found = f"{profile} expects GPUs in it, its nodes have none"
            yield Verdict(ERROR, f"cluster: {name}", found, f"name the one with GPUs in {profile}")


def _check_requests(profile: Path, requests: Sequence[Request], nodes: Sequence[Nodes]) -> Verdict:
    """Whether some node can serve each request; a first try that none can is an error."""
    refused = sorted(
        (one for one in requests if not any(kind.serves(one) for kind in nodes)), key=lambda one: one.attempt
    )
    subject, where = "cluster: jobs", profile / "config.yaml"
    if not refused:
        return Verdict(OK, subject, "every rule's jobs find a node, at every try")
    earliest = {one.rule: str(one) for one in reversed(refused)}  # of each rule the first try that is refused
    shown = listed([str(one) for one in refused if str(one) == earliest[one.rule]])
    found = f"no node serves {shown}; {_offer(nodes, refused[0].gpus)}"
    if refused[0].attempt == 1:
        return Verdict(ERROR, subject, found, f"lower set-resources in {where}, or name other partitions")
    fix = f"lower retries or the growth in {where}: such a job would wait forever"
    return Verdict(WARNING, subject, found, fix)


def _offer(nodes: Sequence[Nodes], gpus: int) -> str:
    """The most that nodes with so many GPUs have, or all nodes where none has."""
    kinds = [kind for kind in nodes if kind.gpus >= gpus] or list(nodes)
    which = f"nodes with {gpus} GPU" if gpus else "nodes"
    return (
        f"the largest {which} have {max(kind.cpus for kind in kinds)} CPUs, "
        f"{max(kind.megabytes for kind in kinds)} MB, {max(kind.minutes for kind in kinds):g} minutes"
    )


def _check_memory_of_squeue(settings: Mapping[str, Any]) -> Iterator[Verdict]:
    """A job that squeue forgot before the first look at it is waited for without end."""
    from snakemake_executor_plugin_slurm.job_status_query import get_min_job_age

    first_look = settings.get("slurm-init-seconds-before-status-checks", 40)
    if settings.get("slurm-status-command") != "squeue" or (kept := get_min_job_age()) is None:
        return
    if kept < FORGETTING * first_look:
        found = f"MinJobAge is {kept} s, expected at least {FORGETTING} times {first_look} s"
        fix = "lower slurm-init-seconds-before-status-checks in the profile"
        yield Verdict(WARNING, "cluster: squeue", found, fix)
