"""Which files of two folders belong together, and which job made them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from wsss.artefacts.formats import ArtefactError
from wsss.artefacts.identity import Identity, read_identity

# An artefact's files by the name of their shard, or by "" where it is one file.
Parts: TypeAlias = Mapping[str, Path]

ROOT = Path(__file__).parents[2]  # of the checkout, where the Snakefile lies
RULE = re.compile(r"^rule (\w+):\n(?:.*\n)*?    output:\n((?:        .*\n)+)", re.MULTILINE)
LAST_PART = re.compile(r'"results/[^"]*/([^/"{}]+)"')  # of an output's path
SHARD = re.compile(r"\d{3}of\d{3}")
# Folders of files without an index, which count as one.
PLAIN_FOLDERS = ("source", "submission")
# No artefacts: what Snakemake and TensorBoard keep for themselves, and unfinished work.
IGNORED = re.compile(r"\..*|work-.*|events")
BOOKKEEPING = ("logs", "benchmarks")  # beside the data sets' folders
# Tables have no header; these are a job's second output.
BESIDE = {"history.csv": "weights.safetensors", "seed_curve.csv": "seed_miou.json"}
UNKNOWN = "other"


@cache
def outputs_of_rules() -> dict[str, list[str]]:
    """The last parts of the outputs' paths by rule, in the order of the Snakefile and its files."""
    included = re.findall(r'^include: "(.*)"', (ROOT / "Snakefile").read_text(encoding="utf-8"), re.MULTILINE)
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in included]
    return {rule: LAST_PART.findall(output) for text in texts for rule, output in RULE.findall(text)}


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
        """The one of them that is named; else the first rule with an output of this name."""
        name = PurePosixPath(self.place).name
        by_name = (rule for rule, outputs in outputs_of_rules().items() if name in outputs)
        return self.jobs[0] or self.jobs[1] or Identity(next(by_name, UNKNOWN))

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
    def rank(self) -> int:
        """The rule's place in the Snakefile, where counts and scores come after what they rate."""
        rules = list(outputs_of_rules())
        return rules.index(self.rule) if self.rule in rules else len(rules)

    def may_rest_on(self, upper: Unit) -> bool:
        """Whether, by the order of the rules and by the wildcards, it may be made from another output."""
        pairs = [(job.wildcards.get("dataset"), job.run) for job in (self.job, upper.job)]
        if any(None not in names and names[0] != names[1] for names in zip(*pairs, strict=True)):
            return False
        chains = sorted((f"{self.job.chain}/".lstrip("/"), f"{upper.job.chain}/".lstrip("/")), key=len)
        return upper.rank < self.rank and chains[1].startswith(chains[0])


def headers(parts: Parts) -> list[Path]:
    """The files that tell of each part which job made it."""
    return [path.with_name(BESIDE.get(path.name, path.name)) for path in parts.values()]


def _job(parts: Parts) -> Identity | None:
    return read_identity(headers(parts)[0]) if parts else None


def find_units(a: Path, b: Path) -> list[Unit]:
    """Pair the artefacts of two folders, or two files, by their paths; in the order of the rules.

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
    return sorted(units, key=_order)


def _order(unit: Unit) -> tuple[int, str, bool, str]:
    folder, _, name = unit.place.rpartition("/")
    return unit.rank, folder, name in BESIDE, name


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
