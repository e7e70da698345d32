"""Make a shard such that a killed process loses the image at hand: what is finished is kept until the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor

from wsss.artefacts.class_maps import size_of
from wsss.artefacts.files import Inputs, Unwritten, digests, naming, work_folder
from wsss.artefacts.finished_parts import has_label, has_part, join_labels, join_tensors, write_part
from wsss.artefacts.formats import Labels, PathLike, Record, label_path, write_mask
from wsss.runtime.progress import progress
from wsss.workflow.fingerprint import fingerprint

Unit = TypeVar("Unit")
Result = TypeVar("Result")
# The same where a method only takes them, which the type checker wants told.
AUnit = TypeVar("AUnit", contravariant=True)
AResult = TypeVar("AResult", contravariant=True)

REPEATS = 3  # how many processes that make the same shard may overtake one

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What a shard is made from and how.

    Attributes:
        stage: Name of the stage, whose code shapes the result.
        doing: What is being done, for the reader of the log.
        settings: All parameters of the stage.
        params: What the artefact says of how it was made.
        inputs: Files read, by name.
    """

    stage: str
    doing: str
    settings: Mapping[str, Any]
    params: Mapping[str, Any]
    inputs: Inputs


class Parts(Protocol[AUnit, AResult]):
    """The results of some units of a shard, in its work folder."""

    def has(self, number: int, unit: AUnit) -> bool:
        """Whether a unit's result is there and whole."""

    def keep(self, number: int, unit: AUnit, result: AResult) -> None:
        """Write a unit's result, whole or not at all."""

    def join(self, units: Sequence[AUnit], params: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Write the artefact; ``inputs`` are digests."""


def make_tensors(
    outputs: Mapping[str, PathLike],
    units: Sequence[Unit],
    make: Callable[[Sequence[Unit]], Iterator[Mapping[str, Mapping[str, Tensor]]]],
    recipe: Recipe,
) -> None:
    """Write a shard of tensors; its bytes do not depend on how often that was interrupted.

    Args:
        outputs: Where to write, by the artefacts' forms.
        units: Images or batches of them; the tensors of each must not depend on the others.
        make: Computes the units it is given, in their order: each one's tensors, by form and name.
        recipe: How.
    """
    _make(next(iter(outputs.values())), lambda work: _Tensors(work, outputs), units, make, recipe)


def make_labels(
    labels: PathLike,
    index: PathLike,
    records: Sequence[Record],
    make: Callable[[Sequence[Record]], Iterator[tuple[str, Labels]]],
    recipe: Recipe,
) -> None:
    """Write a shard of label maps; its bytes do not depend on how often that was interrupted.

    Args:
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        records: The images; the label map of each must not depend on the others.
        make: Computes the images it is given, in their order: each one's id and label map.
        recipe: How.
    """
    _make(labels, lambda work: _Labels(work, labels, index), records, make, recipe)


def _make(
    artefact: PathLike,
    parts_in: Callable[[Path], Parts[Unit, Result]],
    units: Sequence[Unit],
    make: Callable[[Sequence[Unit]], Iterator[Result]],
    recipe: Recipe,
) -> None:
    inputs = digests(recipe.inputs)
    shape = {"params": recipe.settings, "inputs": inputs, "code": fingerprint(recipe.stage)}
    with work_folder(artefact, shape) as work:
        parts = parts_in(work)
        for repeats in reversed(range(REPEATS)):
            try:
                _add_missing(parts, units, make, recipe.doing)
                parts.join(units, recipe.params, inputs)
                break
            except Unwritten as error:
                if error.errno != ENOENT or not repeats:
                    raise
                log.info("%s: another process finished it and removed the parts; making them anew", artefact)


def _add_missing(
    parts: Parts[Unit, Result],
    units: Sequence[Unit],
    make: Callable[[Sequence[Unit]], Iterator[Result]],
    doing: str,
) -> None:
    missing = [(number, unit) for number, unit in enumerate(units) if not parts.has(number, unit)]
    if len(missing) < len(units):
        log.info("%s: %d of %d parts are there already", doing, len(units) - len(missing), len(units))
    if missing:
        results = progress(make([unit for _, unit in missing]), len(missing), doing)
        for (number, unit), result in zip(missing, results, strict=True):
            parts.keep(number, unit, result)


@dataclass(frozen=True)
class _Tensors:
    """A file a unit and form."""

    work: Path
    outputs: Mapping[str, PathLike]

    def has(self, number: int, unit: object) -> bool:
        return all(has_part(self._path(kind, number)) for kind in self.outputs)

    def keep(self, number: int, unit: object, result: Mapping[str, Mapping[str, Tensor]]) -> None:
        for kind, output in self.outputs.items():
            with naming(output):
                write_part(self._path(kind, number), result[kind])

    def join(self, units: Sequence[object], params: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        for kind, output in self.outputs.items():
            parts = [self._path(kind, number) for number in range(len(units))]
            join_tensors(output, kind, parts, params, inputs)

    def _path(self, kind: str, number: int) -> Path:
        return self.work / kind / f"{number:06d}.safetensors"


@dataclass(frozen=True)
class _Labels:
    """A PNG an image."""

    work: Path
    labels: PathLike
    index: PathLike

    def has(self, number: int, unit: Record) -> bool:
        return has_label(self.work, unit.id, size_of(unit))

    def keep(self, number: int, unit: Record, result: tuple[str, Labels]) -> None:
        image, label = result
        with naming(self.labels):
            write_mask(label_path(self.work, image), label)

    def join(self, units: Sequence[Record], params: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        ids = [record.id for record in units]
        join_labels(self.labels, self.index, self.work, ids, params, inputs)
