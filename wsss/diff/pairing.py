"""Which files of two folders belong together, and which job made them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from wsss.artefacts.formats import ArtefactError
from wsss.artefacts.identity import Identity, read_identity

# An artefact's files by the name of their shard, or by "" where it is one file.
Parts: TypeAlias = Mapping[str, Path]

MANIFEST = "manifest.jsonl"
SHARD = re.compile(r"\d{3}of\d{3}")
# Folders that hold files of one kind without an index.
PLAIN_FOLDERS = ("source", "submission")
# No artefacts: what Snakemake and TensorBoard keep for themselves, and unfinished work.
IGNORED = re.compile(r"\..*|work-.*|events")
BOOKKEEPING = ("logs", "benchmarks")  # beside the data sets' folders
# fmt: off
PIPELINE = (
    "pretrain_network", "generate_sample", "render_masks", "convert_masks", "prepare_manifest",
    "select_training", "train_classifier", "train_single_stage", "extract_maps", "extract_patch_maps",
    "diffuse_cams", "count_values", "choose_threshold",
    "make_irn_labels", "train_irn", "walk_cams", "count_seeds", "evaluate_seeds", "draw_curves",
    "make_pseudo_labels", "count_pseudo", "evaluate_pseudo", "predict_single_stage_masks", "copy_masks",
    "train_segmenter", "predict_masks", "count_predictions", "export_predictions", "evaluate_single_stage",
    "evaluate_segmentation", "package_predictor", "summarise_seeds", "summarise_single_stage",
    "tabulate_ablations", "compare", "draw_comparison", "draw_examples",
)
# fmt: on
# Outputs without a header: another of the same job's, or the rule.
BESIDE = {"history.csv": "weights.safetensors", "seed_curve.csv": "seed_miou.json"}
HEADLESS = {
    "source": "generate_sample",
    "submission": "export_predictions",
    "seed_curve.svg": "draw_curves",
    "ablations.csv": "tabulate_ablations",
    "compare.csv": "compare",
    "compare.html": "draw_comparison",
    "examples.png": "draw_examples",
}
UNKNOWN = "other"


def within(path: Path) -> tuple[Path | None, PurePosixPath]:
    """The data set's folder that a path lies in, None if it lies in none, and the path from there."""
    absolute = Path(os.path.abspath(path))
    for folder in absolute.parents:
        if (folder / MANIFEST).is_file():
            return folder, PurePosixPath(absolute.relative_to(folder).as_posix())
    return None, PurePosixPath(absolute.name)


@dataclass(frozen=True)
class Unit:
    """One output of a rule on both sides, its shards together.

    Attributes:
        place: Path from the compared folders; an output in shards has its folder's.
        a: Its files on one side.
        b: And on the other.
    """

    place: str
    a: Parts = field(default_factory=dict)
    b: Parts = field(default_factory=dict)

    @cached_property
    def jobs(self) -> tuple[Identity | None, Identity | None]:
        """The jobs that made the first part of each side, where they are named."""
        return _job(self.a), _job(self.b)

    @property
    def job(self) -> Identity:
        """The one of them that is named; else what the output's name tells of it."""
        named = HEADLESS.get(PurePosixPath(self.place).name, UNKNOWN)
        if named == "generate_sample" and not any(name.startswith("images/") for name in self.a or self.b):
            named = "render_masks"  # COCO's images are the user's
        return self.jobs[0] or self.jobs[1] or Identity(named)

    @property
    def rule(self) -> str:
        """Name of the rule that made it."""
        return self.job.rule

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for the outputs of one job, or of the jobs of one output's shards."""
        named = [pair for pair in self.job.wildcards.items() if pair[0] != "shard"]
        folder = PurePosixPath(self.place).parent
        return (self.rule, folder, *sorted(named)) if named else (self.rule, self.place)

    @property
    def rank(self) -> int:
        """The rule's place in the order of the pipeline."""
        return PIPELINE.index(self.rule) if self.rule in PIPELINE else len(PIPELINE)

    def may_rest_on(self, upper: Unit) -> bool:
        """Whether, by the order of the rules and by the wildcards, it may be made from another output."""
        pairs = [(job.wildcards.get("dataset"), job.seed) for job in (self.job, upper.job)]
        if any(None not in names and names[0] != names[1] for names in zip(*pairs, strict=True)):
            return False
        chains = sorted((f"{self.job.chain}/".lstrip("/"), f"{upper.job.chain}/".lstrip("/")), key=len)
        return upper.rank < self.rank and chains[1].startswith(chains[0])


def _job(parts: Parts) -> Identity | None:
    path = next(iter(parts.values()), None)
    return read_identity(path.with_name(BESIDE.get(path.name, path.name))) if path else None


def find_units(a: Path, b: Path) -> list[Unit]:
    """Pair the artefacts of two folders, or two files, by their paths; in the order of the pipeline.

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
    return sorted(units, key=lambda unit: (unit.rank, unit.place))


def _outputs(folder: Path) -> dict[str, dict[str, Path]]:
    """All artefacts below a folder by their place."""
    found: dict[str, dict[str, Path]] = {}
    for path in _files(folder):
        place, shard = _name(path.relative_to(folder))
        found.setdefault(place, {})[shard] = path
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
        names[:] = [name for name in sorted(names) if name not in unwanted and not _ignored(name)]
        yield from (Path(folder, name) for name in files if not IGNORED.fullmatch(name))


def _ignored(folder: str) -> bool:
    return bool(IGNORED.fullmatch(folder) or SHARD.fullmatch(folder))


def shard_pairs(a: Parts, b: Parts) -> Iterator[tuple[Parts, Parts]]:
    """The parts of two sides that hold the same images, a shard at a time where both were cut alike."""
    if {name.partition("of")[2] for name in a} == {name.partition("of")[2] for name in b}:
        for name in sorted(a.keys() | b.keys()):
            yield {key: a[key] for key in (name,) if key in a}, {key: b[key] for key in (name,) if key in b}
    else:
        yield a, b
