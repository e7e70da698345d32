"""Which files of two folders belong together, and which rule made them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeAlias

from wsss.artefacts.formats import ArtefactError, open_tensors

# An artefact's files by the name of their shard, or by "" where it is one file.
Parts: TypeAlias = Mapping[str, Path]

MANIFEST = "manifest.jsonl"
SHARD = re.compile(r"\d{3}of\d{3}")
# Folders that hold files of one kind without an index.
PLAIN_FOLDERS = ("source", "submission")
# No artefacts: what Snakemake and TensorBoard keep for themselves, and unfinished work.
IGNORED = re.compile(r"\..*|work-.*|events")
BOOKKEEPING = ("logs", "benchmarks")  # beside the data sets' folders
ANY = "[^/]+"
SEED = r"seed\d+"
RUN = f"{SEED}/{ANY}"
CHAIN = f"{RUN}/{ANY}/{ANY}"
LABELLER = f"({CHAIN}|{SEED}/truth)"  # of a segmentation network's training images
SPLIT = "(train|val|test)"
FINDING = f"(.+/)?{SPLIT}/{ANY}"  # inference of a split


class Place(NamedTuple):
    """Where a rule's outputs lie in a data set's folder.

    Attributes:
        rule: The rule's name.
        pattern: Matches the output's path.
        up: How many names at the path's end are not the chain's, by which its log is named.
    """

    rule: str
    pattern: str
    up: int = 1


PLACES = (  # in the order of the pipeline
    Place("pretrain_network", r"pretrain/[^/]+"),
    Place("generate_sample", "source"),
    Place("prepare_manifest", r"manifest\.jsonl"),
    Place("train_classifier", rf"{RUN}/(weights\.safetensors|history\.csv)"),
    Place("extract_maps", f"{RUN}/(cams|attention)"),
    Place("extract_patch_maps", f"{RUN}/patches/none/maps", 3),
    Place("diffuse_cams", f"{RUN}/{ANY}/none/maps", 2),
    Place("count_values", f"{CHAIN}/value_counts"),
    Place("choose_threshold", rf"{CHAIN}/thresholds/[^/]+\.json", 2),
    Place("make_irn_labels", f"{CHAIN}/labels"),
    Place("train_irn", rf"{CHAIN}/irn/(weights\.safetensors|history\.csv)", 2),
    Place("walk_cams", f"{CHAIN}/maps"),
    Place("count_seeds", f"{CHAIN}/seed_counts"),
    Place("evaluate_seeds", rf"{CHAIN}/seed_(miou\.json|curve\.csv)"),
    Place("draw_curves", rf"{CHAIN}/seed_curve\.svg"),
    Place("make_pseudo_labels", f"{CHAIN}/pseudo"),
    Place("count_pseudo", f"{CHAIN}/pseudo_counts"),
    Place("evaluate_pseudo", rf"{CHAIN}/pseudo_miou\.json"),
    Place("predict_apc_masks", f"{RUN}/{SPLIT}/{ANY}/masks"),
    Place("copy_masks", "truth"),
    Place("train_segmenter", rf"{LABELLER}/{ANY}/(weights\.safetensors|history\.csv)"),
    Place("predict_masks", f"{LABELLER}/{ANY}/{SPLIT}/{ANY}/masks"),
    Place("count_predictions", f"{FINDING}/counts"),
    Place("export_predictions", f"{FINDING}/submission"),
    Place("evaluate_apc", rf"{RUN}/(seg|pseudo)_miou\.json"),
    Place("evaluate_segmentation", rf"{LABELLER}/{ANY}/seg_miou\.json"),
    Place("summarise_seeds", r"seg_miou\.json"),
    Place("summarise_apc", r"apc/seg_miou\.json", 2),
    Place("tabulate_ablations", r"apc/ablations\.csv", 2),
    Place("compare", r"compare\.csv"),
    Place("draw_comparison", r"compare\.html"),
    Place("draw_examples", r"examples\.png"),
)
UNKNOWN = Place("other", ".*")
ORDER = [place.pattern for place in (*PLACES, UNKNOWN)]


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
        known: The rule that made it, as far as its place in the data set's folder tells.
        a: Its files on one side.
        b: And on the other.
    """

    place: str
    known: Place
    a: Parts = field(default_factory=dict)
    b: Parts = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """Name of the rule that made it."""
        return self.known.rule

    @property
    def chain(self) -> tuple[str, ...]:
        """The names in the place that stand for the chain of variants."""
        return PurePosixPath(self.place).parts[: -self.known.up]

    @property
    def rank(self) -> int:
        """The rule's place in the order of the pipeline."""
        return ORDER.index(self.known.pattern)


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
        return [Unit(a.name, _known(a.parent if SHARD.fullmatch(a.stem) else a), {"": a}, {"": b})]
    one, other = _outputs(a), _outputs(b)
    places = sorted(one.keys() | other.keys())
    units = [
        Unit(place, _known((a if place in one else b) / place), one.get(place, {}), other.get(place, {}))
        for place in places
    ]
    return sorted(units, key=lambda unit: (unit.rank, unit.place))


def _known(path: Path) -> Place:
    folder, inside = within(path)
    name = str(inside) if folder else _from_seed(path)
    known = next((place for place in PLACES if re.fullmatch(place.pattern, name)), UNKNOWN)
    if known.rule == "train_classifier" and _is_single_stage(path.parent):
        return known._replace(rule="train_apc")
    if known.rule == "generate_sample" and not (path / "images").is_dir():
        return known._replace(rule="render_masks")
    return known


def _from_seed(path: Path) -> str:
    """The end of a path that tells its rule where no manifest tells the data set's folder."""
    parts = Path(os.path.abspath(path)).parts
    start = next((place for place, part in enumerate(parts) if re.fullmatch(SEED, part)), len(parts) - 2)
    return "/".join(parts[start:])


def _is_single_stage(folder: Path) -> bool:
    """Whether the network in a folder is APC, whose settings alone name a decoder."""
    try:
        with open_tensors(folder / "weights.safetensors", "weights") as shard:
            return "decoder" in shard.params.get("network", {})
    except ArtefactError:
        return False


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
