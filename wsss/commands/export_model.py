"""``wsss export model``: a trained network as one file for other programs."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from wsss.artefacts.predictors import read_predictor
from wsss.commands.options import Export, add_export
from wsss.prediction.picture_files import picture_files

if TYPE_CHECKING:
    from wsss.commands import Subparsers
    from wsss.model_formats.writing import Exported

DESCRIPTION = """\
Write the network of a predictor as one file that labels pictures without this project.

--to          --out    runs in
  onnx        .onnx    ONNX Runtime and what else reads ONNX; needs the extra `onnx`
  torchscript .pt      torch, in Python and C++

Pictures go in as they are decoded, uint8 RGB (batch, height, width, 3) of any size: the normalisation is
inside, and so is APC's resizing. Probabilities of the classes come out at the pictures' size. It is one pass:
no further scales, no mirror images, no CRF. Class names and the rest are in the file's metadata.

The file is compared with the predictor on random pictures of several sizes and on those that --check names;
one that differs is not written.
"""
MODEL = Export(
    "model",
    "a predictor's network as ONNX or TorchScript",
    DESCRIPTION,
    "wsss export model results/mine/predictor --to onnx --out mine.onnx --check photos",
    ("predictor", "folder made by the target results/NAME/predictor"),
    ("onnx", "torchscript"),
    "FILE",
)


def add_parser(kinds: Subparsers) -> None:
    """Add the command to the command line."""
    model = add_export(kinds, MODEL)
    add = model.add_argument
    add(
        "--check",
        nargs="+",
        default=[],
        metavar="PICTURE",
        help="files, folders, patterns: compare on these pictures, too, at no more than 1024 pixels a side",
    )
    add(
        "--tolerance",
        type=_probability,
        metavar="P",
        help="largest difference of a probability that is let pass (default 0.0001)",
    )
    model.set_defaults(command=_export)


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return value


def _export(options: argparse.Namespace) -> int:
    read_predictor(options.predictor)  # what is misspelt shows before the seconds that torch's import takes
    pictures = [file.path for file in picture_files(options.check, sys.stdin)] if options.check else []
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a GPU's rounding is no part of the comparison
    from wsss.model_formats.registry import FORMS
    from wsss.model_formats.writing import TOLERANCE, export_model

    form = FORMS[options.to]
    tolerance = TOLERANCE if options.tolerance is None else options.tolerance
    found = export_model(
        options.predictor,
        options.out,
        form,
        pictures=pictures,
        tolerance=tolerance,
        overwrite=options.overwrite,
    )
    print(f"{options.out}: {form.title}, {options.out.stat().st_size / 1e6:.1f} MB")
    _tell(found)
    return 0


def _tell(found: Exported) -> None:
    for name in ("input", "output", "classes", "pass"):
        print(f"{name}: {found.metadata[name]}")
    print(f"compared on random pictures: {found.random}")
    if found.given is not None:
        print(f"compared on given pictures: {found.given}")
