"""The contract of a form: an image's part of the export, and the parts joined."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from wsss.artefacts.formats import Labels
from wsss.label_formats.source import Item, Source


@dataclass(frozen=True)
class Options:
    """What single forms can be asked for.

    Attributes:
        link_images: Whether pictures are linked into the folder.
        tolerance: Pixels by which an outline may be moved to have fewer corners; 0: none.
        image_url: What a picture's address begins with, before its name.
    """

    link_images: bool = False
    tolerance: float = 0.0
    image_url: str = "/data/local-files/?d="


@dataclass(frozen=True)
class Job:
    """One export: from what, to where, how."""

    source: Source
    out: Path
    options: Options = field(default_factory=Options)


class Part(NamedTuple):
    """An image's finished part: which image, its number from 1 on, and the part's file."""

    number: int
    item: Item
    path: Path


class Form(NamedTuple):
    """A form of labels that other tools read.

    Attributes:
        title: What it is, for people.
        part: From an image, its number from 1 on, its labels (H, W) and the job to the bytes of its part.
        join: From the job, all parts and a temporary file or folder to the output there; returns what people
            should know of it, or nothing.
        check: Refuses a source that the form cannot hold.
        suffix: Of the output file; empty: the output is a folder.
        part_suffix: Of a part's file.
        needs_pictures: Whether pictures must be known by name.
        void: What becomes of pixels of label 255.
        options: Fields of :class:`Options` that it heeds.
    """

    title: str
    part: Callable[[Item, int, Labels, Job], bytes]
    join: Callable[[Job, Sequence[Part], Path], str]
    check: Callable[[Source], None]
    suffix: str
    part_suffix: str
    needs_pictures: bool
    void: str
    options: frozenset[str] = frozenset()


def as_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)


def read_part(part: Part) -> dict[str, Any]:
    """A part that is JSON."""
    value: dict[str, Any] = json.loads(part.path.read_text(encoding="utf-8"))
    return value


def place(path: Path, part: Part) -> None:
    """Move a part to where it belongs in the output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part.path.replace(path)
