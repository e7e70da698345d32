"""How every stage's file looks inside: the only module that reads and writes artefacts.

Forms: a JSONL manifest, safetensors shards, folders of palette PNG label maps with a JSONL index, JSON
for one result, CSV for tables. Each is written under a temporary name and renamed, so a file that exists is
whole; the same content gives the same bytes (sorted keys, no dates, no host names, no pickles). Each carries
its form's version, the parameters that made it, the SHA-256 of its inputs and, as JSON results do, the job.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from wsss.artefacts import tensor_file
from wsss.artefacts.decoding import PIXELS, decode, read_picture
from wsss.artefacts.files import ArtefactError, Inputs, PathLike, Values, atomic_file, atomic_folder, digest
from wsss.artefacts.identity import METADATA_KEY, digests, dump, made_by

if TYPE_CHECKING:  # seconds of every start, for the few that read tables or tensors
    import pandas as pd
    from torch import Tensor

    from wsss.artefacts.tensor_file import Array

Labels: TypeAlias = NDArray[np.uint8]

VERSIONS = {"manifest": 1, "weights": 1, "views": 1, "attention": 1, "maps": 1, "counts": 1, "labels": 2}
REMAKE = "remove its folder and run again"  # of a label map: its rule makes the folder, not the one file


def _header(kind: str, params: Values, inputs: Values) -> dict[str, Any]:
    form = {"form": kind, "version": VERSIONS[kind]}
    return {**form, "params": dict(params), "inputs": dict(inputs), **made_by()}


def _check_header(path: PathLike, header: Any, kind: str) -> dict[str, Any]:
    found = (header.get("form"), header.get("version")) if isinstance(header, dict) else (None, None)
    if found != (kind, VERSIONS[kind]):
        raise ArtefactError(
            f"{path}: expected form {kind!r} version {VERSIONS[kind]}, found form {found[0]!r} "
            f"version {found[1]}; remove it and let its rule make it anew"
        )
    return dict(header)


@contextmanager
def _reading(path: PathLike, form: str, *damage: type[Exception]) -> Iterator[None]:
    """Say of a file that cannot be read as its ``form`` which one it is, and what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: no such file; its rule has not run") from error
    except damage as error:
        raise ArtefactError(f"{path}: not a {form} ({error}); remove it and run again") from error


def _read_lines(path: PathLike, kind: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and records of a JSONL file, whose header states how many records follow."""
    with _reading(path, f"readable {kind} file", OSError, ValueError):
        # only at "\n": splitlines also cuts at characters that JSON leaves as they are, such as U+2028
        text = Path(path).read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    header = _check_header(path, lines[0] if lines else None, kind)
    if header.get("records") != len(lines) - 1:
        raise ArtefactError(
            f"{path}: expected {header.get('records')} records, found {len(lines) - 1}: "
            "the file was cut; remove it and run again"
        )
    return header, lines[1:]


def _write_lines(path: PathLike, header: Values, records: Sequence[Values]) -> None:
    lines = [dump({**header, "records": len(records)}), *map(dump, records)]
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def form_of(path: PathLike) -> str:
    """The form that a safetensors or JSONL artefact says it has, whichever it is."""
    with _reading(path, "readable artefact", OSError, ValueError, SafetensorError):
        if Path(path).suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
        else:
            with open(path, encoding="utf-8") as lines:
                header = json.loads(lines.readline())
    form = header.get("form") if isinstance(header, dict) else None
    if form not in VERSIONS:
        raise ArtefactError(f"{path}: expected an artefact of the forms {sorted(VERSIONS)}, found {form!r}")
    return str(form)


# ------------------------------------------------------------------------------------------------- manifest


@dataclass(frozen=True)
class Record:
    """One image: its files, size in pixels, 0-based foreground classes and the splits it belongs to."""

    id: str
    image: str
    mask: str | None
    height: int
    width: int
    classes: tuple[int, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A data set: its name, foreground class names and records.

    Splits: ``train`` (image labels are trained on, maps and pseudo labels are made for it), ``masked`` (the
    part of ``train`` with masks, on which maps and pseudo labels are scored), ``val`` and ``test``.
    """

    dataset: str
    classes: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def num_classes(self) -> int:
        """Number of foreground classes C."""
        return len(self.classes)

    def split(self, name: str) -> list[Record]:
        """Records of one split, in the manifest's order."""
        return [record for record in self.records if name in record.splits]

    def shard(self, split: str, shard: str) -> list[Record]:
        """Every n-th record of a split; ``shard`` is written ``002of048`` for the third of 48."""
        index, _, count = shard.partition("of")
        if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
            raise ArtefactError(f"shard {shard!r}: expected a name such as 002of048")
        return self.split(split)[int(index) :: int(count)]


def write_manifest(path: PathLike, manifest: Manifest) -> None:
    """Write a manifest as JSONL: a header, then one line per record."""
    ids = [record.id for record in manifest.records]
    if len(set(ids)) != len(ids):
        raise ArtefactError(f"{path}: {len(ids) - len(set(ids))} ids occur twice")
    header = {**_header("manifest", {}, {}), "dataset": manifest.dataset, "classes": manifest.classes}
    _write_lines(path, header, [asdict(record) for record in manifest.records])


def read_manifest(path: PathLike) -> Manifest:
    """Read a manifest written by :func:`write_manifest`."""
    header, lines = _read_lines(path, "manifest")
    records = [
        Record(**{**line, "classes": tuple(line["classes"]), "splits": tuple(line["splits"])})
        for line in lines
    ]
    return Manifest(header["dataset"], tuple(header["classes"]), tuple(records))


# --------------------------------------------------------------------------------------------------- images


def read_image(source: PathLike | Record) -> Labels:
    """Decode a picture to RGB, uint8 (H, W, 3); see :mod:`wsss.artefacts.decoding`."""
    if not isinstance(source, Record):
        return read_picture(source).pixels
    path = source.image
    image = read_picture(path, max(PIXELS, source.height * source.width)).pixels
    if image.shape[:2] != (source.height, source.width):
        raise ArtefactError(
            f"{path}: expected {source.width}x{source.height} pixels as in the manifest, found "
            f"{image.shape[1]}x{image.shape[0]}; the file was replaced: make the manifest anew"
        )
    return image


def read_mask(path: PathLike, limit: int | None = None) -> Labels:
    """Decode a user's label map, a palette or grey PNG of class indices, to uint8 (H, W)."""
    return _indices(path, decode(path, limit=limit))


def _indices(path: PathLike, image: Image.Image) -> Labels:
    if image.mode not in ("P", "L", "1"):
        raise ArtefactError(
            f"{path}: expected a palette or 8-bit grey label map, found mode {image.mode}; "
            "store class indices, not colours"
        )
    return np.array(image, dtype=np.uint8)


# -------------------------------------------------------------------------------------------------- tensors


class Shard:
    """An open safetensors file."""

    def __init__(self, path: PathLike, kind: str, file: Any) -> None:
        self.path = Path(path)
        self._file = file
        try:
            header = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
        except ValueError as error:
            raise ArtefactError(f"{path}: unreadable metadata; remove it and run again") from error
        header = _check_header(path, header, kind)
        self.params: dict[str, Any] = header["params"]
        self.inputs: dict[str, Any] = header["inputs"]
        self._keys = frozenset(file.keys())

    def keys(self) -> list[str]:
        """Names of all tensors, sorted: an image's id, which may hold slashes, a slash and what it is."""
        return sorted(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def size(self, key: str) -> int:
        """Number of values of a tensor, which is not read."""
        return prod(self._file.get_slice(key).get_shape())

    def _read(self, key: str) -> Any:
        if key not in self._keys:
            raise ArtefactError(
                f"{self.path}: no tensor {key!r}; it was made for other images, remove it and run again"
            )
        return self._file.get_tensor(key)


class TensorShard(Shard):
    """An open file whose tensors are read one by one."""

    def get(self, key: str) -> Tensor:
        """Read one tensor."""
        tensor: Tensor = self._read(key)
        return tensor


class ArrayShard(Shard):
    """The same as arrays, for stages that need no torch."""

    def get(self, key: str) -> NDArray[Any]:
        """Read one array."""
        array: NDArray[Any] = self._read(key)
        return array


@contextmanager
def open_tensors(path: PathLike, kind: str) -> Iterator[TensorShard]:
    """Open a safetensors artefact of one form and check its version."""
    with _opened(path, "pt") as file:
        yield TensorShard(path, kind, file)


@contextmanager
def open_arrays(path: PathLike, kind: str) -> Iterator[ArrayShard]:
    """The same without torch."""
    with _opened(path, "numpy") as file:
        yield ArrayShard(path, kind, file)


@contextmanager
def _opened(path: PathLike, framework: str) -> Iterator[Any]:
    whole = _reading(path, "whole safetensors file", SafetensorError)
    with whole, safe_open(path, framework=framework) as file:
        yield file


def read_tensors(path: PathLike, kind: str) -> dict[str, Tensor]:
    """Read all tensors of an artefact."""
    with open_tensors(path, kind) as shard:
        return {key: shard.get(key) for key in shard.keys()}  # noqa: SIM118 (not a mapping)


def write_tensors(
    path: PathLike,
    kind: str,
    tensors: Mapping[str, Array],
    params: Values | None = None,
    inputs: Inputs | None = None,
) -> None:
    """Write tensors as safetensors with form, parameters and input digests as one metadata string."""
    write_stored(path, kind, tensor_file.from_memory(tensors), params or {}, digests(inputs or {}))


def write_stored(
    path: PathLike, kind: str, tensors: Mapping[str, tensor_file.Stored], params: Values, inputs: Values
) -> None:
    """As :func:`write_tensors`, of tensors that need not be in memory and of inputs by their digests."""
    metadata = {METADATA_KEY: dump(_header(kind, params, inputs))}
    with atomic_file(path) as temporary:
        tensor_file.write(temporary, tensors, metadata)


# --------------------------------------------------------------------------------------------------- labels


@dataclass(frozen=True)
class LabelIndex:
    """What a folder of label maps holds and how it was made; ``labels`` are those that occur, by image id."""

    ids: tuple[str, ...]
    params: dict[str, Any]
    inputs: dict[str, Any]
    labels: Mapping[str, tuple[int, ...]]


def palette() -> NDArray[np.uint8]:
    """The PASCAL VOC colours of labels 0..255, (256, 3): three bits of the label a colour bit."""
    labels = np.arange(256)[:, None]
    channels = np.arange(3)
    bits = [((labels >> (3 * step + channels)) & 1) << (7 - step) for step in range(8)]
    return np.bitwise_or.reduce(bits).astype(np.uint8)


def label_path(folder: PathLike, image_id: str) -> Path:
    """Where an image's label map lies in a folder; refuses ids that lead out of it."""
    parts = PurePosixPath(image_id).parts
    if not parts or ".." in parts or image_id.startswith("/"):
        raise ArtefactError(f"image id {image_id!r}: expected a relative name without '..'")
    return Path(folder) / f"{image_id}.png"


def write_mask(path: PathLike, label: Labels) -> None:
    """Write one label map, uint8 (H, W), as a palette PNG."""
    image = Image.fromarray(np.ascontiguousarray(label, dtype=np.uint8))
    image.putpalette(palette().tobytes())
    with atomic_file(path, tidy=False) as temporary:
        image.save(temporary, format="PNG")


def write_labels(
    folder: PathLike,
    index: PathLike,
    labels: Iterable[tuple[str, Labels]],
    params: Values | None = None,
    inputs: Inputs | None = None,
) -> None:
    """Write a stream of (id, label map) as a folder of palette PNGs, then its JSONL index."""
    records = []
    with atomic_folder(folder) as temporary:
        for image_id, label in labels:
            write_mask(label_path(temporary, image_id), label)
            records.append(label_record(temporary, image_id))
    write_label_index(index, records, params or {}, digests(inputs or {}))


def label_record(folder: PathLike, image_id: str) -> dict[str, Any]:
    """What the index tells of a label map: the image's id, size, labels, and the file's SHA-256."""
    path = label_path(folder, image_id)
    label = _indices(path, decode(path, REMAKE))
    height, width = label.shape
    labels = np.bincount(label.ravel()).nonzero()[0].tolist()
    return {"id": image_id, "height": height, "width": width, "labels": labels, "sha256": digest(path)}


def write_label_index(path: PathLike, records: Sequence[Values], params: Values, inputs: Values) -> None:
    """Write the index of a folder of label maps from their records and from the inputs' digests."""
    _write_lines(path, _header("labels", params, inputs), records)


def read_label_index(path: PathLike) -> LabelIndex:
    """Read the index of a folder of label maps."""
    header, records = _read_lines(path, "labels")
    labels = {record["id"]: tuple(record["labels"]) for record in records}
    if len(labels) < len(records):
        raise ArtefactError(
            f"{path}: expected each image once, found {len(records) - len(labels)} repeated; {REMAKE}"
        )
    return LabelIndex(tuple(labels), header["params"], header["inputs"], labels)


def read_label(folder: PathLike, image_id: str, size: tuple[int, int]) -> Labels:
    """Read one label map and check its size (H, W)."""
    path = label_path(folder, image_id)
    label = _indices(path, decode(path, REMAKE))
    if label.shape != size:
        raise ArtefactError(
            f"{path}: expected {size[1]}x{size[0]} pixels, found {label.shape[1]}x{label.shape[0]}; {REMAKE}"
        )
    return label


# ------------------------------------------------------------------------------------------ results, tables


def write_json(path: PathLike, value: Values) -> None:
    """Write one result as strict JSON with sorted keys, and the job that made it."""
    text = dump({**value, **made_by()}, indent=2)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: PathLike) -> dict[str, Any]:
    """Read one result."""
    with _reading(path, "JSON file", ValueError):
        value: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return value


def write_table(path: PathLike, table: pd.DataFrame) -> None:
    """Write a tidy table as CSV."""
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")


def read_table(path: PathLike) -> pd.DataFrame:
    """Read a table written by :func:`write_table`."""
    import pandas as pd

    with _reading(path, "CSV table", ValueError):
        table = pd.read_csv(path)
    return table
