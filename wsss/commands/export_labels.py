"""``wsss export labels``: pseudo labels and predictions for annotation programs and readers of data sets."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.artefacts.files import ArtefactError
from wsss.commands.options import Export, add_export

if TYPE_CHECKING:
    from wsss.commands import Subparsers
    from wsss.label_formats.form import Form

DESCRIPTION = """\
Write label maps in the form of another tool, from one of

  results/NAME/run0/.../pseudo            pseudo labels of the training images
  results/NAME/run0/.../val/multi/masks   predictions of a split
  a folder that `wsss predict --out` wrote

--to          --out      is
  voc         a folder   palette PNGs, a list of the images, labelmap.txt, as PASCAL VOC
  coco        a .json    an annotation per image and class: run lengths, area, box
  cvat        a .zip     CVAT's archive "Segmentation mask 1.1"
  labelme     a folder   polygons; holes are covered by polygons that come later
  labelstudio a folder   brush regions as predictions, and the project's interface

Pixels of no known label (255) keep a name of their own in each, never that of the background; the command
says which. All but voc and cvat name the pictures' files: from a prediction they need --images.
"""
LABELS = Export(
    "labels",
    "label maps for CVAT, LabelMe, Label Studio, or as PASCAL VOC or COCO",
    DESCRIPTION,
    "wsss export labels results/mine/run0/pair/adcam_n020/none/pseudo --to coco --out labels.json",
    ("source", "folder of label maps"),
    ("voc", "coco", "cvat", "labelme", "labelstudio"),
    "PATH",
)


def add_parser(kinds: Subparsers) -> None:
    """Add the command to the command line."""
    labels = add_export(kinds, LABELS)
    add = labels.add_argument
    add(
        "--images",
        type=Path,
        metavar="DIR",
        help="the pictures, found by the ids; a run's manifest knows them",
    )
    add(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="a run's manifest.jsonl, if not in a folder above SOURCE",
    )
    add("--link-images", action="store_true", help="voc: JPEGImages/ with links to the pictures")
    add(
        "--tolerance",
        type=_pixels,
        default=0.0,
        metavar="PIXELS",
        help="labelme: let outlines move by this much to have fewer corners (default 0: exact)",
    )
    add(
        "--image-url",
        metavar="PREFIX",
        help="labelstudio: what stands before a picture's name (default /data/local-files/?d=)",
    )
    labels.set_defaults(command=_export)


def _pixels(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of pixels, at least 0, found {text}")
    return value


def _export(options: argparse.Namespace) -> int:
    # Imported here, as opencv would slow down the start of every other command.
    from wsss.label_formats.form import Job, Options
    from wsss.label_formats.registry import FORMS
    from wsss.label_formats.source import open_source
    from wsss.label_formats.writing import export_labels

    form = FORMS[options.to]
    asked = _asked(options, form)
    source = open_source(options.source, options.manifest, options.images)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    note = export_labels(Job(source, options.out, Options(**asked)), form, overwrite=options.overwrite)
    print(f"{options.out}: labels of {len(source.items)} images, {form.title}")
    print(f"void (255): {form.void}")
    if note:
        print(note)
    if source.root is not None and form.needs_pictures:
        print(f"pictures are named from {source.root}")
    if source.left_out:
        print(f"left out, being no label maps: {len(source.left_out)} PNGs, such as {source.left_out[0]}")
    return 0


def _asked(options: argparse.Namespace, form: Form) -> dict[str, Any]:
    """The options of single forms that were given; one of another form is an error."""
    given = {name: getattr(options, name) for name in ("link_images", "tolerance", "image_url")}
    asked = {name: value for name, value in given.items() if value}
    if strange := sorted(asked.keys() - form.options):
        raise ArtefactError(
            f"--{strange[0].replace('_', '-')}: --to {options.to} has no use for it; leave it out"
        )
    return asked
