"""The initial weights of every network that the config trains on a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wsss.config.systems import Config, Network, networks
from wsss.doctor.plans import all_systems, main_systems
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, gigabytes, listed
from wsss.pretrained.files import Start, in_hub_cache, known_digest, starts, unusable
from wsss.pretrained.fit import Fits
from wsss.pretrained.published import how_to_fetch

MISFIT = "give the weights of the network that {0.section}.{0.variant}.network describes, or describe theirs"


class Use(NamedTuple):
    """A network that starts from a file or from timm's weights, and whether a main chain trains it."""

    network: Network
    start: Start
    needed: bool


def check_weights(config: Config, datasets: Iterable[str]) -> list[Verdict]:
    """Whether the weights are there, whole and those of the config.

    Args:
        config: The whole configuration.
        datasets: The data sets to be used. What only their comparisons and ablations need may be missing.

    Returns:
        One verdict per file, and per network of timm's.
    """
    fits = Fits(config)
    uses: dict[tuple[str, str | None], list[Use]] = {}
    for dataset in map(config["datasets"].get, datasets):
        main = main_systems(dataset)
        for system in all_systems(dataset):
            for network in networks(config, system):
                for start in starts(config[network.section][network.variant]):
                    if start.name:
                        origin = (start.name, start.initial.get("sha256"))
                        uses.setdefault(origin, []).append(Use(network, start, system in main))
    return [_check(users, fits) for users in uses.values()]


def _check(users: Sequence[Use], fits: Fits) -> Verdict:
    """Whether some networks can start from what they have in common."""
    start, path = users[0].start, users[0].start.path
    status = ERROR if any(use.needed for use in users) else WARNING
    subject = f"weights: {start.name}"
    whose = f"(for {listed(list(dict.fromkeys(use.network.variant for use in users)))})"
    if wrong := unusable(start):
        found, _, fix = wrong.partition("; ")
        more = "; README, Weights, says from where" if path and path.is_file() else ""
        return Verdict(status, subject, f"{found} {whose}", fix + more)
    if path is None:
        return _check_timm(str(start.name), subject, whose)
    for use in users:
        if misfit := fits.misfit(use.network.section, use.network.variant):
            return Verdict(status, subject, misfit, MISFIT.format(use.network))
    named = start.initial.get("sha256")
    known = "as in the config" if named else f"{known_digest(path)}, which the config does not name"
    return Verdict(OK, subject, f"{gigabytes(path.stat().st_size)}, sha256 {known} {whose}")


def _check_timm(name: str, subject: str, whose: str) -> Verdict:
    if in_hub_cache(name):
        return Verdict(OK, subject, f"timm's, already fetched {whose}")
    found = f"not yet fetched; the training will, if it can reach timm's host {whose}"
    return Verdict(WARNING, subject, found, how_to_fetch(name))
