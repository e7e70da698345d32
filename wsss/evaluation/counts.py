"""What the evaluation stages share: adding counts across shards and saying what a score was measured on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.class_maps import size_of
from wsss.artefacts.formats import (
    ArtefactError,
    Labels,
    Manifest,
    PathLike,
    Record,
    Values,
    open_arrays,
    read_label,
    read_mask,
    write_tensors,
)
from wsss.artefacts.identity import identity_of
from wsss.methods.metrics import confusion
from wsss.methods.metrics import scores as derive_scores
from wsss.methods.void import VOID
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.progress import progress
from wsss.runtime.threads import thread_count

Integers: TypeAlias = NDArray[np.int64]

VERSION = 1
MASKED = "masked"  # the training images that have a mask, whose maps and labels are scored
CONFIGURED = "configured"  # how a threshold was chosen
SEEN = ("supervision", "pixel_labels")
COUNTED = ("counts", "images", "thresholds")  # the tensors that all counts have, or may have


@dataclass(frozen=True)
class Counts:
    """Added counts.

    Attributes:
        matrices: int64, mostly (T, C+1, C+1) with rows of truth.
        thresholds: Those that they were made at, (T,) or none.
        images: How many images they are of.
        params: How they were made.
        more: Other counts by name, int64.
    """

    matrices: Integers
    thresholds: list[float]
    images: int
    params: dict[str, Any]
    more: dict[str, Integers]


class Shard(NamedTuple):
    """A shard to be counted.

    Attributes:
        name: Which part of a split it is, such as ``002of048``.
        file: Its class maps, or the folder of its label maps.
        labels: The index of that folder.
    """

    name: str
    file: PathLike
    labels: PathLike = ""


def scored(records: Iterable[Record], split: str) -> list[Record]:
    """Those records of a split that have a truth to be scored on."""
    return [record for record in records if split in record.splits and record.mask is not None]


def read_truth(record: Record, labels: int) -> Labels:
    """A record's mask, uint8 (H, W), checked: the image's size, and values below ``labels`` or 255."""
    truth = read_mask(str(record.mask))
    if truth.shape != size_of(record):
        raise ArtefactError(
            f"{record.mask}: expected {record.width}x{record.height} pixels as its image, "
            f"found {truth.shape[1]}x{truth.shape[0]}; make the manifest anew"
        )
    highest = int(truth[truth != VOID].max(initial=0))
    if highest >= labels:
        raise ArtefactError(f"{record.mask}: expected labels 0..{labels - 1} and 255, found {highest}")
    return truth


def count_labels(records: Sequence[Record], folder: PathLike, labels: int) -> Integers:
    """Count label maps against the truth; 255 in a label map counts as background.

    Args:
        records: Images to count, each with a mask.
        folder: Where the label maps lie.
        labels: Number of labels C+1, background included.

    Returns:
        int64 (1, C+1, C+1), rows of truth.
    """
    matrix = np.zeros((labels, labels), np.int64)
    for record in records:
        truth = read_truth(record, labels)
        label = read_label(folder, record.id, size_of(record))
        matrix += confusion(label, truth, labels)
    return matrix[None]


def count_shards(
    path: PathLike, count: Callable[[Shard], Counts], shards: Sequence[Shard], desc: str
) -> None:
    """Count several shards, each in a process of its own, and write the sum.

    Args:
        path: Where to write it.
        count: A module-level function of one shard, or a ``functools.partial`` of one.
        shards: The shards; they must have been made in the same way.
        desc: What is being counted, for the log.
    """
    results = progress(parallel_map(count, shards, thread_count()), len(shards), desc)
    total = _added((shard.file, found) for shard, found in zip(shards, results, strict=True))
    write_counts(path, total.matrices, total.images, total.params, total.thresholds, total.more)


def write_counts(
    path: PathLike,
    matrices: Integers,
    images: int,
    params: Values,
    thresholds: Sequence[float] = (),
    more: Mapping[str, Integers] | None = None,
) -> None:
    """Write counts, see :class:`Counts`."""
    tensors = {**(more or {}), "counts": matrices, "images": np.array([images])}
    if thresholds:
        tensors["thresholds"] = np.array(thresholds, np.float64)
    write_tensors(path, "counts", tensors, params)


def add_counts(paths: Iterable[PathLike]) -> Counts:
    """Add the counts of several files; they must have been made in the same way."""
    return _added((path, _read_counts(path)) for path in paths)


def _added(parts: Iterable[tuple[PathLike, Counts]]) -> Counts:
    total: Counts | None = None
    for path, part in parts:
        if total is None:
            total = part
        elif _made(part) != _made(total):
            raise ArtefactError(
                f"{path}: expected parameters {total.params} as in the other shards, found {part.params}; "
                "remove it and run again"
            )
        else:
            total = replace(
                total,
                matrices=total.matrices + part.matrices,
                images=total.images + part.images,
                more={name: value + part.more[name] for name, value in total.more.items()},
            )
    if total is None:
        raise ArtefactError("expected the counts of at least one shard, found none")
    return total


def _made(part: Counts) -> tuple[Any, ...]:
    """What the counts of all shards must have in common to be added."""
    return part.params, part.thresholds, set(part.more)


def _read_counts(path: PathLike) -> Counts:
    with open_arrays(path, "counts") as shard:
        thresholds = shard.get("thresholds").tolist() if "thresholds" in shard else []
        more = {name: shard.get(name) for name in shard.keys() if name not in COUNTED}  # noqa: SIM118
        return Counts(shard.get("counts"), thresholds, int(shard.get("images")[0]), shard.params, more)


def chain_weights(classifier: PathLike, irn: PathLike | None, **others: PathLike) -> dict[str, PathLike]:
    """The trained networks behind a score, by their part in the chain."""
    return {"classifier": classifier, **({"irn": irn} if irn else {}), **others}


def statement(manifest: Manifest, split: str, images: int, weights: Mapping[str, PathLike]) -> dict[str, Any]:
    """What a metrics file measured: data, truth, unit, and the weights that each network started from.

    Args:
        manifest: The data set.
        split: Where the images come from.
        images: Number of images that were counted.
        weights: Every network that was trained for the score, by its part in the chain.

    Returns:
        JSON fields that all metrics files have.

    Raises:
        ArtefactError: If the counts do not hold each image of the split once, or a network's weights do not
            say what those they started from have seen.
    """
    records = scored(manifest.records, split)
    if images != len(records):
        raise ArtefactError(
            f"expected counts of the {len(records)} images of split {split!r} that have a mask, "
            f"found {images}; remove the counts and run again"
        )
    return {
        "form": "scores",
        "version": VERSION,
        "dataset": manifest.dataset,
        "split": split,
        "images": images,
        "truth": sorted({str(Path(str(record.mask)).parent) for record in records}),
        "truth_ignored": "pixels labelled 255 in the truth",
        "unit": "fraction of 1",
        "means": "miou over the classes with background; mean_fp, mean_fn over the foreground classes",
        "classes": ["background", *manifest.classes],
        **_provenance(weights),
    }


def _provenance(weights: Mapping[str, PathLike]) -> dict[str, Any]:
    params = {role: _training(path) for role, path in weights.items()}
    initial = {role: part["initial"] for role, part in params.items()}
    taught = {role: part["labels"] for role, part in params.items() if "labels" in part}  # by true masks
    return {
        "run": next(iter(params.values()))["seed"],  # its random numbers start from its number
        "initial_weights": initial,
        "initial_supervision": {role: part["supervision"] for role, part in initial.items()},
        **(
            {"training_supervision": {role: _taught(part) for role, part in taught.items()}} if taught else {}
        ),
        "pixel_labels_used": any(part["pixel_labels"] for part in [*initial.values(), *taught.values()]),
    }


def _taught(labels: Values) -> str:
    """What pixel labels a network was trained on, and of how many images."""
    return f"{labels['supervision']}, {labels['masked']} of {labels['images']}"


def _training(path: PathLike) -> dict[str, Any]:
    with open_arrays(path, "weights") as shard:
        params = shard.params
    if missing := [key for key in SEEN if key not in params.get("initial", {})]:
        raise ArtefactError(
            f"{path}: expected {' and '.join(SEEN)} of the initial weights, found no {missing[0]}; train anew"
        )
    return params


def score_fields(matrix: Integers, classes: Sequence[str]) -> dict[str, Any]:
    """Scores of one count matrix, (C+1, C+1), as JSON fields; a score of nothing is null, never NaN."""
    result = derive_scores(matrix)
    columns = {name: getattr(result, name).tolist() for name in ("iou", "fp", "fn")}
    per_class = [
        {"class": name, **{column: number(values[label]) for column, values in columns.items()}}
        for label, name in enumerate(classes)
    ]
    return {**{name: number(value) for name, value in result.means.items()}, "per_class": per_class}


def score_inferences(
    manifest: Manifest,
    split: str,
    counts: Sequence[PathLike],
    weights: Mapping[str, PathLike],
    inferences: Mapping[str, Values],
    main: str,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Score predictions that were made in several ways.

    Args:
        manifest: The data set.
        split: The split that was predicted.
        counts: Counts of all shards of all inferences, in any order.
        weights: Every network that was trained for the score, by its part in the chain.
        inferences: Settings by name.
        main: Name of the inference whose scores count; must be one of them.

    Returns:
        The fields of :func:`statement`, and for each inference its settings and the fields of its score.
    """
    if main not in inferences:
        raise ValueError(f"main inference: expected one of {sorted(inferences)}, found {main!r}")
    groups = _by_inference(counts, list(inferences))
    totals = {name: _total(name, groups.get(name, []), chosen) for name, chosen in inferences.items()}
    stated = [statement(manifest, split, total.images, weights) for total in totals.values()][-1]
    parts = {
        name: {**inferences[name], **score_fields(total.matrices[0], stated["classes"])}
        for name, total in totals.items()
    }
    return stated, parts


def _by_inference(counts: Sequence[PathLike], names: Sequence[str]) -> Mapping[str, Sequence[PathLike]]:
    """Counts by the inference that their header names; where there is but one, all are of it."""
    if len(names) == 1:
        return {names[0]: counts}
    groups: dict[str, list[PathLike]] = {}
    for path in counts:
        groups.setdefault(identity_of(path).wildcards.get("inference", ""), []).append(path)
    return groups


def _total(name: str, paths: Sequence[PathLike], settings: Values) -> Counts:
    """The added counts of an inference, which must have been made with its settings."""
    total = add_counts(paths) if paths else None
    if total is None or total.params["inference"] != dict(settings):
        raise ArtefactError(
            f"inference {name!r}: no counts were made with {dict(settings)}; remove its masks and run again"
        )
    return total


def view_scales(maps: Values) -> list[float] | None:
    """Scales at which the classifier saw the images, by the parameters of its maps; None for other maps."""
    scales: list[float] | None = maps.get("views", {}).get("scales")
    return scales


def number(value: Any) -> float | None:
    """A finite Python float, or None for NaN."""
    return float(value) if math.isfinite(float(value)) else None
