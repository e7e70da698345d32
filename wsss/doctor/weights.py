"""The initial weights of every network that the config trains on a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from wsss.config.systems import Config
from wsss.doctor.plans import all_systems, main_systems, networks
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, gigabytes, listed
from wsss.pretrained.files import (
    Start,
    backbone_name,
    fault,
    hub_cache,
    in_hub_cache,
    known_digest,
    locate,
    may_download,
    starts,
)
from wsss.pretrained.fit import Fits
from wsss.pretrained.published import how_to_get

MISFIT = "give the weights of the network that {section}.{name}.network describes, or describe theirs"


class Origin(NamedTuple):
    """Where some networks start: a file, its digest in the config if one is named, or timm's name."""

    name: str
    sha256: str | None
    from_timm: bool


def check_weights(config: Config, datasets: Iterable[str]) -> list[Verdict]:
    """Whether the weights are there, whole and those of the config.

    Args:
        config: The whole configuration.
        datasets: The data sets to be used. What only their comparisons and ablations need may be missing.

    Returns:
        One verdict per file, and per network of timm's.
    """
    fits = Fits(config)
    users: dict[Origin, list[tuple[str, str]]] = {}
    needed: set[Origin] = set()
    for dataset in map(config["datasets"].get, datasets):
        main = main_systems(dataset)
        for system in all_systems(dataset):
            for network in networks(config, system):
                origins = [*_origins(starts(config[network.section][network.variant]))]
                needed |= {*origins} if system in main else set()
                for origin in origins:
                    users.setdefault(origin, []).append((network.section, network.variant))
    return [
        _check(origin, list(dict.fromkeys(variants)), ERROR if origin in needed else WARNING, fits)
        for origin, variants in users.items()
    ]


def _check(origin: Origin, variants: Sequence[tuple[str, str]], status: str, fits: Fits) -> Verdict:
    users = f"(for {listed(list(dict.fromkeys(name for _, name in variants)))})"
    if origin.from_timm:
        return _check_timm(origin, users, status)
    wrong = (
        Verdict(status, f"weights: {origin.name}", misfit, MISFIT.format(section=section, name=name))
        for section, name in variants
        if (misfit := fits.misfit(section, name))
    )
    verdict = _check_file(origin, users, status)
    return verdict if verdict.status != OK else next(wrong, verdict)


def _origins(begun: Iterable[Start]) -> Iterator[Origin]:
    for start in begun:
        if start.initial.get("file"):
            yield Origin(start.initial["file"], start.initial.get("sha256"), False)
        elif start.initial.get("timm"):
            yield Origin(backbone_name(start.network), None, True)


def _check_file(origin: Origin, users: str, status: str) -> Verdict:
    subject, path = f"weights: {origin.name}", locate(origin.name)
    if wrong := fault(path, origin.sha256):
        expected, _, fix = wrong.rpartition("; ")
        where = "README, Weights, says from where" if path.is_file() else how_to_get(path.name)
        return Verdict(status, subject, f"{expected} {users}", f"{fix}; {where}")
    named = "as in the config" if origin.sha256 else f"{known_digest(path)}, which the config does not name"
    return Verdict(OK, subject, f"{gigabytes(path.stat().st_size)}, sha256 {named} {users}")


def _check_timm(origin: Origin, users: str, status: str) -> Verdict:
    subject = f"weights: {origin.name}"
    if in_hub_cache(origin.name):
        return Verdict(OK, subject, f"timm's, already fetched {users}")
    command = f"import timm; timm.create_model('{origin.name}', pretrained=True)"
    fix = f'where there is a network: python -c "{command}"; or give a file in the config'
    if may_download():
        found = f"not yet fetched; the training will, if it can reach timm's host {users}"
        return Verdict(WARNING, subject, found, fix)
    found = f"not in {hub_cache()}, and HF_HUB_OFFLINE forbids to fetch it {users}"
    return Verdict(status, subject, found, fix)
