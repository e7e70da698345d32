"""Label Studio: tasks with brush regions as predictions, and the labelling interface that fits them.

The run lengths are those of thi.ng's rle-pack, which Label Studio's brush is kept in: a count of values in 32
bits, the width of a value and four widths of lengths, then for each run a one, which of the four widths, the
length less one, and the value. The values are the mask's, four a pixel, as of an image with four channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.formats import Labels, palette
from wsss.label_formats.form import Form, Job, Part, as_json
from wsss.label_formats.source import Item, Source, check_names
from wsss.methods.void import VOID

VOID_NAME = "void"
CHANNELS = 4
VALUE_BITS = 8
LENGTH_BITS = (3, 4, 8, 16)


def brush(mask: NDArray[np.bool_]) -> list[int]:
    """A mask (H, W) as the bytes of Label Studio's brush."""
    values = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    lengths = CHANNELS * np.diff(starts, append=values.size)
    head = f"{CHANNELS * values.size:032b}{VALUE_BITS - 1:05b}" + "".join(f"{n - 1:04b}" for n in LENGTH_BITS)
    runs = zip(lengths.tolist(), values[starts].tolist(), strict=True)
    bits = head + "".join(piece for length, value in runs for piece in _run(length, 255 * value))
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def _run(length: int, value: int) -> Iterator[str]:
    """A run in bits, in pieces where it is longer than the greatest width can say."""
    while length:
        piece = min(length, 2 ** LENGTH_BITS[-1])
        which = next(number for number, bits in enumerate(LENGTH_BITS) if piece <= 2**bits)
        yield f"1{which:02b}{piece - 1:0{LENGTH_BITS[which]}b}{value:0{VALUE_BITS}b}"
        length -= piece


def interface(source: Source) -> str:
    """The labelling interface, to be pasted into a project's settings."""
    colours = palette().tolist()
    lines = [
        f"    <Label value={quoteattr(name)} background={quoteattr(_hex(colours[label]))}/>"
        for label, name in {**source.names, VOID: VOID_NAME}.items()
    ]
    head = ["<View>", '  <Image name="image" value="$image" zoom="true"/>']
    tail = ["  </BrushLabels>", "</View>", ""]
    return "\n".join([*head, '  <BrushLabels name="label" toName="image">', *lines, *tail])


def _hex(colour: Sequence[int]) -> str:
    return "#" + bytes(colour).hex()


def _part(item: Item, number: int, label: Labels, job: Job) -> bytes:
    names = {**job.source.names, VOID: VOID_NAME}
    present = [int(value) for value in np.unique(label) if value]
    result = [_region(f"{number}-{value}", names[value], label == value) for value in present]
    data = {"image": job.options.image_url + quote(item.name)}
    return as_json({"data": data, "predictions": [{"model_version": "wsss", "result": result}]}).encode()


def _region(identity: str, name: str, mask: NDArray[np.bool_]) -> dict[str, object]:
    return {
        "id": identity,
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "image_rotation": 0,
        "value": {"format": "rle", "rle": brush(mask), "brushlabels": [name]},
    }


def _join(job: Job, parts: Sequence[Part], target: Path) -> str:
    (target / "interface.xml").write_text(interface(job.source), encoding="utf-8")
    with open(target / "tasks.json", "w", encoding="utf-8") as file:
        for number, part in enumerate(parts):
            file.write(("," if number else "[") + "\n" + part.path.read_text(encoding="utf-8"))
        file.write("\n]\n")
    return ""


LABEL_STUDIO = Form(
    title="Label Studio's tasks with brush regions (tasks.json), and interface.xml for the project",
    part=_part,
    join=_join,
    check=lambda source: check_names(source, {VOID_NAME}),
    suffix="",
    part_suffix=".json",
    needs_pictures=True,
    void=f"brush regions of a label '{VOID_NAME}', which interface.xml has",
    options=frozenset({"image_url"}),
)
