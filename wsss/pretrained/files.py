"""Files of initial weights: where they lie, and whether they are whole and the right ones.

Nothing here imports torch: Snakemake asks before anything is queued, and so does ``wsss doctor``.
"""

from __future__ import annotations

import functools
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wsss.artefacts.files import PACKAGED, digest
from wsss.pretrained.pickles import foreign_object
from wsss.pretrained.published import how_to_fetch, how_to_get

DATA = Path(__file__).parents[1] / "data"
LONGEST_HEADER = 100_000_000  # bytes; what safetensors itself accepts
PICKLE = b"\x80"  # how torch's files began before they became zip archives
ARCHIVE = b"PK"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
PAIRED = ("cnn", "vit")  # the networks of a pair, each with initial weights of its own


class Start(NamedTuple):
    """Settings of a network, and of its initial weights."""

    network: Mapping[str, Any]
    initial: Mapping[str, Any]

    @property
    def path(self) -> Path | None:
        """The file; None where timm fetches it, or where the network starts from random numbers."""
        return locate(self.initial["file"]) if self.initial.get("file") else None

    @property
    def name(self) -> str | None:
        """The file as the config names it, or timm's name; None of random numbers."""
        timm = backbone_name(self.network) if self.initial.get("timm") else None
        return self.initial.get("file") or timm


def starts(variant: Mapping[str, Any]) -> list[Start]:
    """The networks of a variant that start from weights: one, or the two of a pair.

    One that goes on from another classifier of the same run needs none from elsewhere.

    Args:
        variant: Its ``network`` and ``initial``, of any section of the configuration.
    """
    network, initial = variant["network"], variant["initial"]
    if "classifier" in initial:
        return []
    if network.get("kind") == "pair":
        return [Start(network[part], initial[part]) for part in PAIRED]
    return [Start(network, initial)]


def locate(file: str) -> Path:
    """Where a configured file lies; ``package:`` starts at the package's data folder."""
    return DATA / file.removeprefix(PACKAGED) if file.startswith(PACKAGED) else Path(file)


def unusable(start: Start) -> str | None:
    """What keeps a network from starting, told without reading tensors.

    Returns:
        What was expected, what was found and what to do; None if it can start, as far as that shows.
    """
    if path := start.path:
        if not path.is_file():
            return f"{fault(path, None)}; {how_to_get(path.name)}"
        return fault(path, start.initial.get("sha256"))
    if start.name is None or may_download() or in_hub_cache(start.name):
        return None
    return (
        f"expected timm's weights in the cache of downloads {hub_cache()}, for HF_HUB_OFFLINE forbids to "
        f"fetch them, found none; {how_to_fetch(start.name)}"
    )


def fault(path: Path, sha256: str | None) -> str | None:
    """What keeps a file from being the initial weights that are configured.

    Args:
        path: A ``.safetensors`` file, or one written by torch.
        sha256: Its digest in hexadecimal; None does not check it.

    Returns:
        What was expected, what was found and what to do; None if the file can be read, as far as that shows
        without reading its tensors.
    """
    if not path.is_file():
        return "expected a file of weights, found none; download it or correct 'file'"
    if sha256 and sha256.lower() != (found := known_digest(path)):
        return f"expected sha256 {sha256}, found {found}; fetch it again or correct it"
    if damage := _damage(path):
        return f"expected weights as safetensors or plain tensors, found {damage}; fetch it again"
    if path.suffix != ".safetensors" and (held := foreign_object(path)):
        return f"expected plain tensors by name, found {held}; save the network's state_dict() alone"
    return None


def known_digest(path: Path) -> str:
    """SHA-256 of a file, read once as long as its size and date stay."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    return digest(path)


def _damage(path: Path) -> str | None:
    """Why a file cannot be whole weights, from its beginning and its end."""
    with path.open("rb") as file:
        start = file.read(len(ARCHIVE))
    if path.suffix == ".safetensors":
        return _damage_of_safetensors(path)
    if start == ARCHIVE:  # the list of its members is the last thing written
        return None if zipfile.is_zipfile(path) else "an archive without its end: the file was cut"
    return None if start[:1] == PICKLE else f"a file that begins with {start!r}"


def _damage_of_safetensors(path: Path) -> str | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            return "no header of safetensors"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return "no header of safetensors"
    whole = 8 + length + max(ends, default=0)
    return None if size == whole else f"{size} bytes of {whole}: the file was cut"


def backbone_name(network: Mapping[str, Any]) -> str:
    """The network that starts from weights, by timm's name."""
    return str(network["backbone"]["model"] if "backbone" in network else network["model"])


def in_hub_cache(name: str) -> bool:
    """Whether timm's weights of a network lie in the cache of its downloads, so that it needs no network.

    Args:
        name: timm's name; without a tag (``resnet50`` for ``resnet50.tv_in1k``) any tag counts.
    """
    pattern = f"models--timm--{name}" if "." in name else f"models--timm--{name}.*"
    return any(
        path.is_file() for file in HUB_FILES for path in hub_cache().glob(f"{pattern}/snapshots/*/{file}")
    )


def hub_cache() -> Path:
    """The folder where huggingface_hub, by which timm downloads, keeps what it fetched."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    hub = os.environ.get("HF_HOME", os.path.join(home, "huggingface"))
    return Path(os.path.expandvars(os.environ.get("HF_HUB_CACHE", os.path.join(hub, "hub")))).expanduser()


def may_download() -> bool:
    """Whether the environment lets huggingface_hub use the network."""
    offline = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return offline.upper() not in {"1", "ON", "YES", "TRUE"}
