"""Make a shard such that a killed process loses the image at hand: what is finished is kept until the end."""

from __future__ import annotations

import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wsss.artefacts.class_maps import size_of
from wsss.artefacts.files import ArtefactError, Inputs, PathLike, Unwritten, Values, naming, work_folder
from wsss.artefacts.finished_parts import has_label, has_part, join_labels, join_tensors, write_part
from wsss.artefacts.formats import Labels, Record, label_path, write_mask
from wsss.artefacts.identity import digests
from wsss.runtime.progress import progress
from wsss.workflow.fingerprint import fingerprint

if TYPE_CHECKING:
    from wsss.artefacts.tensor_file import Array

Unit = TypeVar("Unit")
Result = TypeVar("Result")
TensorsByForm = Mapping[str, "Mapping[str, Array]"]  # by the artefact's form, then by name

REPEATS = 3  # how many processes that make the same shard may overtake one

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Provenance:
    """What a shard is made from and how.

    Attributes:
        stage: Name of the stage, whose code shapes the result.
        settings: All parameters of the stage.
        params: What the artefact says of how it was made.
        inputs: Files read, by name.
    """

    stage: str
    settings: Values
    params: Values
    inputs: Inputs

    def shape(self) -> dict[str, Any]:
        """All that shapes the shard, for :func:`wsss.artefacts.files.work_folder`; reads the inputs."""
        return {"params": self.settings, "inputs": digests(self.inputs), "code": fingerprint(self.stage)}


class Overtaken(ArtefactError):
    """Another process finished the same shard meanwhile and removed its parts."""


def again_if_overtaken(run: Callable[..., None]) -> Callable[..., None]:
    """Run a stage anew where another process has finished the same shard and removed the parts."""

    @functools.wraps(run)
    def repeated(**arguments: Any) -> None:
        for repeats in reversed(range(REPEATS)):
            try:
                return run(**arguments)
            except Overtaken as error:
                if not repeats:
                    raise
                log.info("%s; making them anew", error)
        return None

    return repeated


class _Parts(ABC, Generic[Unit, Result]):
    """The results of some units of a shard, in its work folder."""

    @abstractmethod
    def has(self, number: int, unit: Unit) -> bool:
        """Whether a unit's result is there and whole."""

    @abstractmethod
    def keep(self, number: int, unit: Unit, result: Result) -> None:
        """Write a unit's result, whole or not at all."""

    @abstractmethod
    def join(self, units: Sequence[Unit], params: Values, inputs: Values) -> None:
        """Write the artefact; ``inputs`` are digests."""


class ShardWriter(Generic[Unit, Result]):
    """A shard that is being written unit by unit; a unit's result must not depend on the other units.

    Attributes:
        missing: The units that have to be made; the others were before this process was started.
    """

    def __init__(self, parts: _Parts[Unit, Result], units: Sequence[Unit], doing: str) -> None:
        numbers = [number for number, unit in enumerate(units) if not parts.has(number, unit)]
        if len(numbers) < len(units):
            done = len(units) - len(numbers)
            log.info("%s: %d of %d parts are there already", doing, done, len(units))
        self.missing = [units[number] for number in numbers]
        self._parts, self._units = parts, units
        self._numbers = progress(numbers, len(numbers), doing)

    def write(self, result: Result) -> None:
        """Keep the result of the next missing unit, whole or not at all; shows how far the shard is."""
        number = next(self._numbers)
        self._parts.keep(number, self._units[number], result)

    def finish(self) -> None:
        """Check that nothing is missing any more."""
        if left := list(self._numbers):
            raise ValueError(f"expected a result for each missing unit, found none for {len(left)}")


@contextmanager
def tensor_shard(
    outputs: Mapping[str, PathLike], units: Sequence[Unit], provenance: Provenance, doing: str
) -> Iterator[ShardWriter[Unit, TensorsByForm]]:
    """Open a shard of tensors for writing; its bytes do not depend on how often that was interrupted.

    Args:
        outputs: Where to write, by the artefacts' forms.
        units: Images or batches of them.
        provenance: What it is made from and how.
        doing: What is being done, for the reader of the log.

    Yields:
        What takes each missing unit's tensors, by form and name. The shard is there after the block.

    Raises:
        Overtaken: If another process finished it and removed the parts; see :func:`again_if_overtaken`.
    """
    artefact = next(iter(outputs.values()))
    with _shard(artefact, lambda work: _Tensors(work, outputs), units, provenance, doing) as writer:
        yield writer


@contextmanager
def label_shard(
    labels: PathLike, index: PathLike, records: Sequence[Record], provenance: Provenance, doing: str
) -> Iterator[ShardWriter[Record, Labels]]:
    """Open a shard of label maps for writing; its bytes do not depend on how often that was interrupted.

    Args:
        labels: Folder to write the label maps to.
        index: Where to write the folder's index.
        records: The images.
        provenance: What it is made from and how.
        doing: What is being done, for the reader of the log.

    Yields:
        What takes each missing image's label map, uint8 (H, W). The shard is there after the block.

    Raises:
        Overtaken: If another process finished it and removed the parts; see :func:`again_if_overtaken`.
    """
    with _shard(labels, lambda work: _Labels(work, labels, index), records, provenance, doing) as writer:
        yield writer


@contextmanager
def _shard(
    artefact: PathLike,
    parts_in: Callable[[Path], _Parts[Unit, Result]],
    units: Sequence[Unit],
    provenance: Provenance,
    doing: str,
) -> Iterator[ShardWriter[Unit, Result]]:
    shape = provenance.shape()
    with work_folder(artefact, shape) as work:
        parts = parts_in(work)
        try:
            writer = ShardWriter(parts, units, doing)
            yield writer
            writer.finish()
            parts.join(units, provenance.params, shape["inputs"])
        except Unwritten as error:
            if error.errno != ENOENT:
                raise
            raise Overtaken(f"{artefact}: another process finished it and removed the parts") from error


@dataclass(frozen=True)
class _Tensors(_Parts[Any, TensorsByForm]):
    """One file per unit and form."""

    work: Path
    outputs: Mapping[str, PathLike]

    def has(self, number: int, unit: object) -> bool:
        return all(has_part(self._path(kind, number)) for kind in self.outputs)

    def keep(self, number: int, unit: object, result: TensorsByForm) -> None:
        for kind, output in self.outputs.items():
            with naming(output):
                write_part(self._path(kind, number), result[kind])

    def join(self, units: Sequence[object], params: Values, inputs: Values) -> None:
        for kind, output in self.outputs.items():
            parts = [self._path(kind, number) for number in range(len(units))]
            join_tensors(output, kind, parts, params, inputs)

    def _path(self, kind: str, number: int) -> Path:
        return self.work / kind / f"{number:06d}.safetensors"


@dataclass(frozen=True)
class _Labels(_Parts[Record, Labels]):
    """A PNG an image."""

    work: Path
    labels: PathLike
    index: PathLike

    def has(self, number: int, unit: Record) -> bool:
        return has_label(self.work, unit.id, size_of(unit))

    def keep(self, number: int, unit: Record, result: Labels) -> None:
        with naming(self.labels):
            write_mask(label_path(self.work, unit.id), result)

    def join(self, units: Sequence[Record], params: Values, inputs: Values) -> None:
        ids = [record.id for record in units]
        join_labels(self.labels, self.index, self.work, ids, params, inputs)
