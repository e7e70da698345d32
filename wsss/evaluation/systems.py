"""Where a compared system's files lie among many, and which jobs made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wsss.artefacts.formats import ArtefactError, PathLike
from wsss.config.systems import PATCHES, System
from wsss.config.thresholds import UNREFINED


class Job(NamedTuple):
    """A job of a system: the rules of which one ran it, and the folder that its benchmark is named after."""

    rules: tuple[str, ...]
    folder: str


def read_systems(systems: Iterable[Mapping[str, Any]]) -> list[System]:
    """Read the systems as a rule hands them over, the fields of :class:`wsss.config.systems.System`.

    Raises:
        ValueError: If two have one name, which would make them one row.
    """
    result = [System(**fields) for fields in systems]
    names = [system.name for system in result]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"systems: expected different names, found {twice} more than once")
    return result


def networks(system: System) -> dict[str, str]:
    """Folder of each network that is trained for a system, by its part in the chain."""
    folders = {"apc" if system.apc else "classifier": system.classifier}
    if system.refiner != UNREFINED:
        folders["irn"] = f"{system.maps}/irn"
    if system.segmenter:
        folders["segmenter"] = system.segmentation
    return folders


def training_jobs(system: System) -> list[Job]:
    """The jobs that train a system's networks."""
    jobs = [Job(("train_classifier", "train_apc"), system.classifier)]
    if system.refiner != UNREFINED:
        jobs.append(Job(("train_irn",), system.maps))
    if system.segmenter:
        jobs.append(Job(("train_segmenter",), system.segmentation))
    return jobs


def label_jobs(system: System, pseudo: bool) -> list[Job]:
    """The jobs, one a shard, that make class maps and, if asked, pseudo labels; none for a single stage."""
    if system.apc:
        return []
    jobs = [Job(("extract_maps", "extract_patch_maps"), system.classifier)]
    if system.method != PATCHES:
        jobs.append(Job(("diffuse_cams",), f"{system.classifier}/{system.method}"))
    if system.refiner != UNREFINED:
        jobs += [Job((rule,), system.maps) for rule in ("make_irn_labels", "walk_cams")]
    return [*jobs, Job(("make_pseudo_labels",), system.maps)] if pseudo else jobs


def prediction_job(system: System) -> Job:
    """The jobs, one a shard, that predict val."""
    return Job(("predict_masks", "predict_apc_masks"), f"{system.segmentation}/val/{system.inference}")


def find_file(paths: Iterable[PathLike], run: int, tail: str) -> PathLike | None:
    """The file of a run whose path ends with ``tail``, or None."""
    for path in paths:
        if Path(path).as_posix().endswith(f"/seed{run}/{tail}"):
            return path
    return None


def find_runs(paths: Sequence[PathLike], runs: Sequence[int], tail: str) -> list[PathLike]:
    """The file of every run whose path ends with ``tail``, in the runs' order; none, or all of them.

    Raises:
        ArtefactError: If some runs have the file and others do not.
    """
    found = {run: find_file(paths, run, tail) for run in runs}
    files = [path for path in found.values() if path is not None]
    if files and len(files) < len(runs):
        missing = [run for run, path in found.items() if path is None]
        raise ArtefactError(f"{tail}: expected the file of each of the runs {list(runs)}, none of {missing}")
    return files


def under_inference(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A metrics file of predictions, with the scores of a way of inference where its main one's stand."""
    return {**document, **document["inferences"][name], "inference": name}


def find_below(paths: Iterable[PathLike], run: int, folder: str) -> list[PathLike]:
    """All files and folders that lie below a folder of a run, each once."""
    return list(dict.fromkeys(path for path in paths if f"/seed{run}/{folder}/" in Path(path).as_posix()))
