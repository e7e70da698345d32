"""The initial weights of every network that the config trains on a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

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


@dataclass
class Origin:
    """Where some networks start: a file with its digest, or timm's name; and which networks these are."""

    name: str
    sha256: str | None
    from_timm: bool
    needed: bool = False
    users: list[tuple[str, str]] = field(default_factory=list)  # section and variant

    @property
    def variants(self) -> list[str]:
        """The networks' names, each once: a section may have one that another has."""
        return list(dict.fromkeys(name for _, name in self.users))


def check_weights(config: Config, datasets: Iterable[str]) -> list[Verdict]:
    """Whether the weights are there, whole and those of the config.

    Args:
        config: The whole configuration.
        datasets: The data sets to be used. What only their comparisons and ablations need may be missing.

    Returns:
        A verdict each file, and each network of timm's.
    """
    fits = Fits(config)
    return [_check(origin, fits) for origin in _origins(config, datasets).values()]


def _origins(config: Config, datasets: Iterable[str]) -> dict[tuple[Any, ...], Origin]:
    found: dict[tuple[Any, ...], Origin] = {}
    for dataset in datasets:
        settings = config["datasets"][dataset]
        main = set(main_systems(settings))
        for system in all_systems(settings):
            for network in networks(config, system):
                variant = config[network.section][network.variant]
                for origin in (origin for start in starts(variant) for origin in _origin(start)):
                    kept = found.setdefault((origin.name, origin.sha256), origin)
                    kept.needed |= system in main
                    if network[:2] not in kept.users:
                        kept.users.append(network[:2])
    return found


def _origin(start: Start) -> Iterator[Origin]:
    if start.initial.get("file"):
        yield Origin(start.initial["file"], start.initial.get("sha256"), False)
    elif start.initial.get("timm"):
        yield Origin(backbone_name(start.network), None, True)


def _check(origin: Origin, fits: Fits) -> Verdict:
    subject = f"weights: {origin.name}"
    users = f"for {listed(origin.variants)}"
    if origin.from_timm:
        return _check_timm(origin, subject, users)
    return _check_file(origin, subject, users, fits)


def _check_file(origin: Origin, subject: str, users: str, fits: Fits) -> Verdict:
    path, grave = locate(origin.name), ERROR if origin.needed else WARNING
    if wrong := fault(path, origin.sha256):
        expected, _, fix = wrong.rpartition("; ")
        where = "README, Weights, says from where" if path.is_file() else how_to_get(path.name)
        return Verdict(grave, subject, f"{expected} ({users})", f"{fix}; {where}")
    for section, name in origin.users:
        if misfit := fits.misfit(section, name):
            fix = (
                f"give the weights of the network that {section}.{name}.network describes, or describe theirs"
            )
            return Verdict(grave, subject, misfit, fix)
    size = gigabytes(path.stat().st_size)
    if origin.sha256:
        return Verdict(OK, subject, f"{size}, sha256 as in the config ({users})")
    found = f"{size}, sha256 {known_digest(path)}, which the config does not name ({users})"
    return Verdict(OK, subject, found)


def _check_timm(origin: Origin, subject: str, users: str) -> Verdict:
    if in_hub_cache(origin.name):
        return Verdict(OK, subject, f"timm's, already fetched ({users})")
    command = f"import timm; timm.create_model('{origin.name}', pretrained=True)"
    fix = f'where there is a network: python -c "{command}"; or give a file in the config'
    if not may_download():
        status = ERROR if origin.needed else WARNING
        return Verdict(
            status, subject, f"not in {hub_cache()}, and HF_HUB_OFFLINE forbids to fetch it ({users})", fix
        )
    return Verdict(
        WARNING, subject, f"not yet fetched; the training will, if it can reach timm's host ({users})", fix
    )
