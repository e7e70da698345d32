"""What a SLURM profile asks for, beside what the cluster's partitions offer.

A request that no node can serve is not refused on most clusters: its job waits forever.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsss.config.errors import ConfigError
from wsss.config.reading import ROOT, read_mapping
from wsss.doctor.machine import ask
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, listed

FORMAT = "%R|%a|%l|%c|%m|%G|%T"  # partition, up, time limit, CPUs and MB of a node, its GPUs, its state
USELESS = ("down", "drain", "fail", "inval", "unk")  # beginnings of states of nodes that run no job
THREADS = {"training_threads": 8, "shard_threads": 4}  # what the plan answers for real data, a GPU
FORGETTING = 3  # times the seconds before the first look at a job, for which squeue must remember it
ARITHMETIC = {  # no powers: a few digits of them take forever
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class Nodes(NamedTuple):
    """Nodes of one kind in a partition; time limit in minutes (infinite where there is none)."""

    partition: str
    usable: bool
    minutes: float
    cpus: int
    megabytes: int
    gpus: int


class Request(NamedTuple):
    """What a rule's job asks for at one attempt, of each of its nodes."""

    rule: str
    attempt: int
    minutes: float
    cpus: int
    megabytes: float
    gpus: int

    def __str__(self) -> str:
        try_ = f" at try {self.attempt}" if self.attempt > 1 else ""
        gpus = f", {self.gpus} GPU" if self.gpus else ""
        return (
            f"{self.rule}{try_}: {self.cpus} CPUs, {self.megabytes:.0f} MB, {self.minutes:.0f} minutes{gpus}"
        )


def check_cluster(profile: Path, gpus: Mapping[str, int], rules: Path = ROOT / "rules") -> list[Verdict]:
    """Whether the cluster has the partitions of a profile, and nodes for what its jobs ask for.

    Args:
        profile: Folder of the profile.
        gpus: The config's ``execution.gpus``, by rule.
        rules: Folder of the rules.
    """
    if shutil.which("sinfo") is None:
        return [Verdict(OK, "cluster", "no sinfo on this machine: it submits to no SLURM cluster")]
    answer = ask("sinfo", "--noheader", "--exact", f"--format={FORMAT}")
    if not answer or not answer.strip():
        fix = "ask the cluster's administrators; a run without the profile needs none"
        return [Verdict(WARNING, "cluster", "sinfo is here and does not answer", fix)]
    try:
        settings = read_mapping(profile / "config.yaml")
        partitions = read_partitions(profile, settings)
    except ConfigError as error:
        return [Verdict(ERROR, "cluster", str(error), "name a profile's folder with --profile")]
    nodes = read_nodes(answer)
    found = list(check_partitions(profile, partitions, nodes))
    if all(verdict.status != ERROR for verdict in found):
        named = [one for one in nodes if one.partition in partitions or not partitions]
        found.append(check_requests(profile, list(requests(settings, gpus, rules)), named))
        found += _check_readable(profile, settings)
    return [*found, *_check_memory_of_squeue(settings)]


def read_partitions(profile: Path, settings: Mapping[str, Any]) -> dict[str, bool]:
    """The partitions that a profile names, and whether it takes each for one with GPUs."""
    named = {str(value): False for value in _everywhere(settings, "slurm_partition")}
    if file := settings.get("slurm-partition-config"):
        limits = read_mapping(profile / file).get("partitions") or {}
        named |= {name: bool((values or {}).get("max_gpu")) for name, values in limits.items()}
    return named


def _everywhere(settings: Mapping[str, Any], key: str) -> Iterator[Any]:
    """The values of a resource, of the default and of every rule."""
    for resources in (settings.get("default-resources"), *_per_rule(settings).values()):
        if key in _mapping(resources):
            yield _mapping(resources)[key]


def _per_rule(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Resources by rule; a profile writes ``rule: {name: value}`` or ``rule:name=value``."""
    given = settings.get("set-resources") or {}
    if isinstance(given, Mapping):
        return {rule: _mapping(resources) for rule, resources in given.items()}
    by_rule: dict[str, dict[str, Any]] = {}
    for entry in given:
        rule, _, resource = str(entry).partition(":")
        by_rule.setdefault(rule, {}).update(_mapping([resource]))
    return by_rule


def _mapping(resources: Any) -> dict[str, Any]:
    """Resources written as a mapping, or as a list of ``name=value``."""
    if isinstance(resources, Mapping):
        return dict(resources)
    pairs = [str(entry).partition("=") for entry in resources or []]
    return {name: value for name, _, value in pairs}


def read_nodes(answer: str) -> list[Nodes]:
    """The kinds of nodes that ``sinfo`` lists in :data:`FORMAT`."""
    rows = [line.split("|") for line in answer.splitlines() if line.count("|") == FORMAT.count("|")]
    return [
        Nodes(
            partition,
            up == "up" and not state.startswith(USELESS),
            _minutes(limit),
            int(re.sub(r"\D.*", "", cpus) or 0),
            int(re.sub(r"\D.*", "", megabytes) or 0),
            _gpus(gres),
        )
        for partition, up, limit, cpus, megabytes, gres, state in rows
    ]


def _gpus(gres: str) -> int:
    """GPUs of a node, from such as ``gpu:2`` or ``gpu:a100:4(S:0-1),shard:8``."""
    plain = re.sub(r"\(.*?\)", "", gres)
    last = [part.split(":")[-1] for part in plain.split(",") if part.split(":")[0] == "gpu"]
    return sum(int(count) if count.isdigit() else 1 for count in last)


def _minutes(limit: str) -> float:
    """A time limit of SLURM's, ``days-hours:minutes:seconds`` with less in front, in minutes."""
    if not limit[:1].isdigit():
        return float("inf")
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minutes = (parts[0], parts[1]) if len(parts) > 2 else (0, parts[0])
    return 1440 * int(days or 0) + 60 * hours + minutes


def check_partitions(profile: Path, named: Mapping[str, bool], nodes: Sequence[Nodes]) -> Iterator[Verdict]:
    """Whether the named partitions are there, with nodes that work, and GPUs where the profile wants them."""
    there = list(dict.fromkeys(one.partition for one in nodes))
    absent = [name for name in named if name not in there]
    if absent:
        found = f"{profile} names {listed(absent, 8)}; the cluster has {listed(there, 8)}"
        yield Verdict(ERROR, "cluster: partitions", found, f"name the cluster's in {profile}")
        return
    yield Verdict(
        OK, "cluster: partitions", f"{listed(list(named), 8) or 'the default one'}, of {listed(there, 8)}"
    )
    for name, gpus in named.items():
        usable = [one for one in nodes if one.partition == name and one.usable]
        if not usable:
            found = f"{name} has no node that is up"
            yield Verdict(WARNING, f"cluster: {name}", found, "its jobs wait; ask the administrators")
        elif gpus and not any(one.gpus for one in usable):
            found = f"{profile} expects GPUs in it, its nodes have none"
            yield Verdict(ERROR, f"cluster: {name}", found, f"name the one with GPUs in {profile}")


def requests(settings: Mapping[str, Any], gpus: Mapping[str, int], rules: Path) -> Iterator[Request]:
    """What each rule's jobs ask for on real data, at each try that the profile allows."""
    default, by_rule = _mapping(settings.get("default-resources")), _per_rule(settings)
    for rule, text in _rules(rules):
        asked = default | by_rule.get(rule, {})
        of_rule = 0 if "gpu=0" in text else gpus.get(rule, 1)
        cpus = next((count for name, count in THREADS.items() if f"threads: plan.{name}" in text), 1)
        cpus *= max(1, of_rule)
        nodes = max(1, int(asked.get("nodes") or 1))
        for attempt in range(1, int(settings.get("retries") or 0) + 2):
            known = {"attempt": attempt, "threads": cpus}
            minutes, megabytes = (evaluate(asked.get(key, 0), known) or 0.0 for key in ("runtime", "mem_mb"))
            yield Request(rule, attempt, minutes, _share(cpus, nodes), megabytes, _share(of_rule, nodes))


def _share(total: int, nodes: int) -> int:
    """Of each node, where a job's processes are spread over several."""
    return math.ceil(total / nodes)


def _check_readable(profile: Path, settings: Mapping[str, Any]) -> Iterator[Verdict]:
    """A warning where a resource is written in a way that was not compared with the nodes."""
    given = {"default": settings.get("default-resources"), **_per_rule(settings)}
    unread = [
        f"{rule}: {key}: {_mapping(resources)[key]}"
        for rule, resources in given.items()
        for key in ("runtime", "mem_mb")
        if key in _mapping(resources)
        and evaluate(_mapping(resources)[key], {"attempt": 1, "threads": 1}) is None
    ]
    if unread:
        fix = "write a number of minutes or MB, or arithmetic of `attempt` and `threads`"
        yield Verdict(WARNING, "cluster: jobs", f"not compared in {profile}: {listed(unread)}", fix)


def _rules(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.smk")):
        for block in re.split(r"(?m)^(?=rule )", path.read_text(encoding="utf-8"))[1:]:
            yield block.split()[1].rstrip(":"), block


def evaluate(expression: Any, known: Mapping[str, float]) -> float | None:
    """A resource written as a number or as arithmetic of the known names; None where it is neither."""
    try:
        return _value(ast.parse(str(expression), mode="eval").body, known)
    except (SyntaxError, LookupError, ValueError, ArithmeticError):
        return None


def _value(node: ast.expr, known: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return known[name]
        case ast.BinOp(left, operation, right):
            return float(ARITHMETIC[type(operation)](_value(left, known), _value(right, known)))
        case _:
            raise ValueError(ast.dump(node))


def check_requests(profile: Path, asked: Iterable[Request], nodes: Sequence[Nodes]) -> Verdict:
    """Whether some node can serve each request; a first try that none can is an error."""
    refused = sorted(
        (one for one in asked if not any(_serves(kind, one) for kind in nodes)), key=lambda one: one.attempt
    )
    subject, where = "cluster: jobs", profile / "config.yaml"
    if not refused:
        return Verdict(OK, subject, "every rule's jobs find a node, at every try")
    earliest = {one.rule: str(one) for one in reversed(refused)}  # of each rule the first try that is refused
    shown = listed([text for one in refused if (text := str(one)) == earliest[one.rule]])
    found = f"no node serves {shown}; {_offer(nodes, refused[0].gpus)}"
    if refused[0].attempt == 1:
        fix = f"lower set-resources in {where}, or name other partitions"
        return Verdict(ERROR, subject, found, fix)
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


def _serves(kind: Nodes, asked: Request) -> bool:
    return (
        kind.minutes >= asked.minutes
        and kind.cpus >= asked.cpus
        and kind.megabytes >= asked.megabytes
        and kind.gpus >= asked.gpus
    )


def _check_memory_of_squeue(settings: Mapping[str, Any]) -> Iterator[Verdict]:
    """A job that squeue forgot before the first look at it is waited for without end."""
    first_look = settings.get("slurm-init-seconds-before-status-checks", 40)
    kept = re.search(r"MinJobAge *= *(\d+)", ask("scontrol", "show", "config") or "")
    if settings.get("slurm-status-command") == "squeue" and kept and int(kept[1]) < FORGETTING * first_look:
        found = f"MinJobAge is {kept[1]} s, expected at least {FORGETTING} times {first_look} s"
        fix = "lower slurm-init-seconds-before-status-checks in the profile"
        yield Verdict(WARNING, "cluster: squeue", found, fix)
