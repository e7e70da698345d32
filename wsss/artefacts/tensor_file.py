"""Safetensors files written tensor by tensor, so that a file larger than the memory can be joined from parts.

The bytes are those that the ``safetensors`` library gives, which wants all tensors in memory at once. See
https://github.com/huggingface/safetensors for the format: the length of the header, the header as JSON, then
the tensors' values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # seconds of every start, for the few that read or write tensors
    from torch import Tensor

    Array = Tensor | NDArray[Any]

# Names of numpy, which torch puts behind its own, and of the format, in the order in which the library lays
# tensors out.
TYPES = {
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
    "float32": "F32",
    "uint32": "U32",
    "int32": "I32",
    "bfloat16": "BF16",
    "float16": "F16",
    "uint16": "U16",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
ORDER = {name: place for place, name in enumerate(TYPES.values())}
ALIGNMENT = 8  # bytes to whose multiple the header is filled up with spaces
CHUNK = 2**20  # bytes copied at once


class Stored(NamedTuple):
    """A tensor on its way into a file: its type's name there, its shape, its bytes and how to get them."""

    dtype: str
    shape: list[int]
    size: int
    chunks: Callable[[], Iterator[Any]]


def from_memory(tensors: Mapping[str, Array]) -> dict[str, Stored]:
    """Tensors of any device, or arrays, as they will be stored."""
    return {name: _in_memory(tensor) for name, tensor in tensors.items()}


def _in_memory(tensor: Array) -> Stored:
    form = TYPES[str(tensor.dtype).removeprefix("torch.")]
    return Stored(form, list(tensor.shape), tensor.nbytes, partial(_values, tensor))


def _values(tensor: Array) -> Iterator[Any]:
    if isinstance(tensor, np.ndarray):
        yield np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data
        return
    import torch

    yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def from_file(path: Path) -> dict[str, Stored]:
    """The tensors of a file by name; their values are read when they are written elsewhere.

    Raises:
        ValueError: If the file was cut short or is none of this form.
    """
    with path.open("rb") as file:
        header = read_header(file)
        start, size = file.tell(), os.fstat(file.fileno()).st_size
    header.pop("__metadata__", None)
    expected = start + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if size != expected:
        raise ValueError(f"{path}: expected {expected} bytes, found {size}")
    return {name: _in_file(path, start, entry) for name, entry in header.items()}


def read_header(file: BinaryIO) -> dict[str, Any]:
    """The header of an open file, which is left at its end.

    Raises:
        ValueError: If the file was cut short or is none of this form.
    """
    length = int.from_bytes(file.read(ALIGNMENT), "little")
    if length > os.fstat(file.fileno()).st_size:
        raise ValueError(f"expected a header of {length} bytes, found a shorter file")
    header: dict[str, Any] = json.loads(file.read(length))
    return header


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """A header as it is stored: its length, its text, and spaces up to where the values begin."""
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(ALIGNMENT, "little") + text


def _in_file(path: Path, start: int, entry: Mapping[str, Any]) -> Stored:
    first, last = entry["data_offsets"]
    chunks = partial(_copied, path, start + first, last - first)
    return Stored(entry["dtype"], entry["shape"], last - first, chunks)


def _copied(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        for done in range(0, size, CHUNK):
            yield file.read(min(CHUNK, size - done))


def write(path: Path, tensors: Mapping[str, Stored], metadata: Mapping[str, str]) -> None:
    """Write tensors, one after the other; the same tensors in any order give the same bytes.

    Args:
        path: The file.
        tensors: By name.
        metadata: What the file says of itself.
    """
    names = sorted(tensors, key=lambda name: (ORDER[tensors[name].dtype], name))
    with path.open("wb") as file:
        file.write(header_bytes(_header(names, tensors, metadata)))
        for name in names:
            for chunk in tensors[name].chunks():
                file.write(chunk)


def _header(
    names: list[str], tensors: Mapping[str, Stored], metadata: Mapping[str, str]
) -> dict[str, object]:
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name in names:
        stored = tensors[name]
        offsets = [offset, offset := offset + stored.size]
        header[name] = {"dtype": stored.dtype, "shape": stored.shape, "data_offsets": offsets}
    return header
