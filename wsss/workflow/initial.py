"""The user's files of initial weights that a rule reads, checked while Snakemake plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wsss.artefacts.files import PACKAGED
from wsss.config.errors import ConfigError
from wsss.config.systems import Config
from wsss.pretrained.files import Start, backbone_name, fault, in_hub_cache, locate, may_download, starts
from wsss.pretrained.published import how_to_get


def initial_files(variant: Config, trained: Callable[[], str], misfit: Callable[[], str | None]) -> list[str]:
    """The user's files that a variant starts from, each once.

    Args:
        variant: Its settings.
        trained: Gives the path of the network that is trained from them.
        misfit: Says what keeps them from being the network's weights.

    Raises:
        ConfigError: If one cannot be used, or if the network is not yet trained and one is missing or of
            another network.
    """
    files = [file for start in starts(variant) for file in _initial_file(start, trained)]
    if not Path(trained()).is_file() and (wrong := misfit()):
        raise ConfigError(wrong)
    return list(dict.fromkeys(files))


def _initial_file(start: Start, trained: Callable[[], str]) -> list[str]:
    """The user's file that a network starts from; one that cannot be used stops the run before it begins.

    Shipped ones are left out of the answer: a fresh installation dates them anew and must rerun nothing.
    """
    initial = start.initial
    file = initial.get("file")
    if initial.get("timm"):
        _check_download(backbone_name(start.network))
    if not file:
        return []
    path = locate(file)
    if path.is_file() and (wrong := fault(path, initial.get("sha256"))):
        raise ConfigError(f"{path}: {wrong}")
    if not path.is_file() and not Path(trained()).is_file():
        raise ConfigError(f"{path}: expected a file of weights, found none; {how_to_get(path.name)}")
    return [] if file.startswith(PACKAGED) else [file]


def _check_download(name: str) -> None:
    if not may_download() and not in_hub_cache(name):
        raise ConfigError(
            f"{name}: expected timm's weights in the cache of downloads, for HF_HUB_OFFLINE forbids to fetch "
            "them, found none; fetch them first, or give 'file' and 'sha256' instead of 'timm'"
        )
