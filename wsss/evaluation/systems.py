"""Which of many files are a compared system's, by the jobs that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from wsss.artefacts.files import ArtefactError, PathLike, Values
from wsss.artefacts.identity import identity_of
from wsss.config.systems import PATCHES, System
from wsss.config.thresholds import UNREFINED

# By the run's number, as its path has it, and the chain; see :class:`wsss.artefacts.identity.Identity`.
FilesByRun: TypeAlias = Mapping[tuple[str | None, str], Sequence[PathLike]]


class Job(NamedTuple):
    """A job of a system.

    Attributes:
        rules: Those of which one ran it.
        folder: What its benchmark is named after.
        within: The rule and folder of a job that may have done its part, too; then it took nothing itself.
    """

    rules: tuple[str, ...]
    folder: str
    within: tuple[str, str] | None = None


def networks(system: System) -> dict[str, str]:
    """Chain of each network that is trained for a system, by its part in the system."""
    chains = {"single_stage" if system.single else "classifier": system.first_weights}
    if not system.labels_by_itself:
        chains = {}
    elif system.refiner != UNREFINED:
        chains["irn"] = system.maps
    if system.segmenter:
        chains["segmenter"] = system.segmentation
    return chains


def map_chain(system: System) -> str:
    """Chain of the class maps that a system's labels are cut from."""
    if system.refiner != UNREFINED:
        return system.maps
    return system.classifier if system.method == PATCHES else f"{system.classifier}/{system.method}"


def label_chain(system: System) -> str:
    """Chain of a system's labels of training images."""
    return f"{system.single}/train/{system.pseudo}" if system.single else system.maps


def prediction_chain(system: System) -> str:
    """Chain of a system's predictions of val."""
    return f"{system.segmentation}/val/{system.inference}"


def training_jobs(system: System) -> list[Job]:
    """The jobs that train a system's networks."""
    jobs = [Job(("train_classifier", "train_single_stage"), system.first_weights)]
    if not system.labels_by_itself:
        jobs = []
    elif system.refiner != UNREFINED:
        jobs.append(Job(("train_irn",), system.maps))
    if system.segmenter:
        jobs.append(Job(("train_segmenter",), system.segmentation))
    return jobs


def label_jobs(system: System, pseudo: bool) -> list[Job]:
    """The jobs, one a shard, that make class maps and, if asked, pseudo labels.

    None for a single stage, and for an upper bound, whose masks are copied.
    """
    if system.single or not system.labels_by_itself:
        return []
    maps = f"{system.classifier}/{system.method}"
    makers = ("extract_maps", "derive_maps", "extract_patch_maps")
    jobs = [Job(makers, system.classifier, within=("make_maps", maps))]
    if system.method != PATCHES:
        jobs.append(Job(("make_maps", "diffuse_cams"), maps))
    if system.refiner != UNREFINED:
        jobs += [Job((rule,), system.maps) for rule in ("make_irn_labels", "walk_cams")]
    return [*jobs, Job(("make_pseudo_labels",), system.maps)] if pseudo else jobs


def prediction_job(system: System) -> Job:
    """The jobs, one a shard, that predict val."""
    return Job(("predict_masks", "predict_single_stage_masks"), prediction_chain(system))


def by_run(paths: Iterable[PathLike], headed: Iterable[PathLike] | None = None) -> FilesByRun:
    """Files by the run and the chain that their headers name, each once.

    Args:
        paths: Files of one kind.
        headed: The same jobs' files that have a header, in the same order, where ``paths`` have none.

    Raises:
        ArtefactError: If one names no job.
    """
    found: dict[tuple[str | None, str], list[PathLike]] = {}
    pairs = [(path, path) for path in paths] if headed is None else zip(paths, headed, strict=True)
    for path, named in dict(pairs).items():
        identity = identity_of(named)
        found.setdefault((identity.run, identity.chain), []).append(path)
    return found


def find_runs(files: FilesByRun, runs: Sequence[int], chain: str) -> list[PathLike]:
    """A chain's file of every run, in the runs' order; none, or all of them.

    Raises:
        ArtefactError: If some runs have the file and others do not.
    """
    found = {run: files[str(run), chain][0] for run in runs if (str(run), chain) in files}
    if found and len(found) < len(runs):
        missing = [run for run in runs if run not in found]
        raise ArtefactError(
            f"{next(iter(found.values()))}: expected such a file of each of the runs {list(runs)}, none of "
            f"{missing}"
        )
    return list(found.values())


def find_all(files: FilesByRun, run: int, chain: str) -> Sequence[PathLike]:
    """All files of a run that are a chain's."""
    return files.get((str(run), chain), ())


def under_inference(document: Values, name: str) -> dict[str, Any]:
    """A metrics file of predictions, with the scores of a way of inference where its main one's stand."""
    return {**document, **document["inferences"][name], "inference": name}
