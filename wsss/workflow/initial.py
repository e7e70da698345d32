"""The user's files of initial weights that a rule reads, checked while Snakemake plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wsss.artefacts.files import PACKAGED
from wsss.config.errors import ConfigError
from wsss.config.systems import Config
from wsss.pretrained.files import starts, unusable


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
    done = Path(trained()).is_file()
    for start in starts(variant):
        needless = done and start.path and not start.path.is_file()
        if not needless and (wrong := unusable(start)):
            raise ConfigError(f"{start.path or start.name}: {wrong}")
    if not done and (wrong := misfit()):
        raise ConfigError(wrong)
    # a fresh installation dates shipped files anew and must rerun nothing
    files = [start.initial["file"] for start in starts(variant) if start.path]
    return [file for file in dict.fromkeys(files) if not file.startswith(PACKAGED)]
