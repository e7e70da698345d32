"""Which files of two folders belong together, in which order they were made, and by which job."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from wsss.artefacts.formats import ArtefactError
from wsss.artefacts.identity import Identity, read_header, read_identity

# An artefact's files by the name of their shard, or by "" where it is one file.
Parts: TypeAlias = Mapping[str, Path]

# Forms in the order in which one chain makes them; results are told by the ending, and are made at the end.
FORMS = ("files", "manifest", "weights", "views", "attention", "maps", "labels", "counts", "result")
SHARD = re.compile(r"\d{3}of\d{3}")
# Folders of files without an index, which count as one.
SOURCE = "source"  # of the data set's images or masks
PLAIN_FOLDERS = (SOURCE, "submission")
# No artefacts: what Snakemake and TensorBoard keep for themselves, and unfinished work.
IGNORED = re.compile(r"\..*|work-.*|events")
BOOKKEEPING = ("logs", "benchmarks")  # beside the data sets' folders
# Tables have no header; these are a job's second output.
BESIDE = {"history.csv": "weights.safetensors", "seed_curve.csv": "seed_miou.json"}


@dataclass(frozen=True)
class Unit:
    """One output of a rule on both sides, its shards together."""

    place: str  # path from the compared folders; an output in shards has its folder's
    a: Parts = field(default_factory=dict)
    b: Parts = field(default_factory=dict)

    @cached_property
    def jobs(self) -> tuple[Identity | None, Identity | None]:
        """The jobs that made the first part of each side, where they are named."""
        return _job(self.a), _job(self.b)

    @cached_property
    def job(self) -> Identity:
        """The one of them that is named; what names none is called by its own name."""
        return self.jobs[0] or self.jobs[1] or Identity(self.name)

    @property
    def name(self) -> str:
        """The last part of its place."""
        return PurePosixPath(self.place).name

    @property
    def rule(self) -> str:
        """Name of the rule that made it."""
        return self.job.rule

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for the outputs of one job, or of the jobs of one output's shards."""
        named = sorted(pair for pair in self.job.wildcards.items() if pair[0] != "shard")
        return (self.rule, PurePosixPath(self.place).parent, *named) if named else (self.rule, self.place)

    @cached_property
    def order(self) -> tuple[object, ...]:
        """Sorts outputs as they are made: chains by their length, in each the forms, and results last.

        Whether two runs part at an output its header's inputs decide, and this order where it names none.
        """
        form = "files" if self.name == SOURCE else "result"
        if (header := read_header(headers(self.a or self.b)[0])).get("form") in FORMS:
            form = header["form"]
        chain, folder = PurePosixPath(self.job.chain), PurePosixPath(self.place).parent
        place = (self.rule, folder, self.name in BESIDE, self.name)
        result = form == "result"
        last = (result, result and not chain.parts)  # those of all chains after each one's own
        return (*last, len(chain.parts), FORMS.index(form), *place)

    def may_rest_on(self, earlier: Unit) -> bool:
        """Whether, by the wildcards, it may be made from an output that comes before it."""
        pairs = [(job.wildcards.get("dataset"), job.run) for job in (self.job, earlier.job)]
        if any(None not in names and names[0] != names[1] for names in zip(*pairs, strict=True)):
            return False
        chains = sorted((f"{self.job.chain}/".lstrip("/"), f"{earlier.job.chain}/".lstrip("/")), key=len)
        return chains[1].startswith(chains[0])


def headers(parts: Parts) -> list[Path]:
    """The files that tell of each part which job made it."""
    return [path.with_name(BESIDE.get(path.name, path.name)) for path in parts.values()]


def _job(parts: Parts) -> Identity | None:
    return read_identity(headers(parts)[0]) if parts else None


def find_units(a: Path, b: Path) -> list[Unit]:
    """Pair the artefacts of two folders, or two files, by their paths; in the order in which they are made.

    Raises:
        ArtefactError: If one does not exist, or one is a folder and the other a file.
    """
    for path in (a, b):
        if not path.exists():
            raise ArtefactError(f"{path}: no such file or folder")
    if a.is_dir() != b.is_dir():
        raise ArtefactError(f"{a} and {b}: expected two folders or two files, found one of each")
    if a.is_file():
        return [Unit(a.name, {"": a}, {"": b})]
    one, other = _outputs(a), _outputs(b)
    units = [Unit(place, one.get(place, {}), other.get(place, {})) for place in one.keys() | other.keys()]
    return sorted(units, key=lambda unit: unit.order)


def _outputs(folder: Path) -> dict[str, dict[str, Path]]:
    """All artefacts below a folder by their place."""
    found: dict[str, dict[str, Path]] = {}
    for path in _files(folder):
        place, part = _name(path.relative_to(folder))
        found.setdefault(place, {})[part] = path
    return found


def _name(path: Path) -> tuple[str, str]:
    """The place of a file and the name of its part."""
    for depth, part in enumerate(path.parts[:-1], start=1):
        if part in PLAIN_FOLDERS:
            return "/".join(path.parts[:depth]), "/".join(path.parts[depth:])
    if SHARD.fullmatch(path.stem):
        return path.parent.as_posix(), path.stem
    return path.as_posix(), ""


def _files(root: Path) -> Iterator[Path]:
    """The files below a folder, but for bookkeeping; a shard's label maps are those of its index."""
    for folder, names, files in os.walk(root, followlinks=True):
        unwanted = BOOKKEEPING if Path(folder) == root else ()
        names[:] = [
            name
            for name in names
            if not (name in unwanted or IGNORED.fullmatch(name) or SHARD.fullmatch(name))
        ]
        yield from (Path(folder, name) for name in sorted(files) if not IGNORED.fullmatch(name))
