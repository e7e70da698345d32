"""``wsss predict``: label pictures by a packaged network."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss.artefacts.decoding import PIXELS
from wsss.artefacts.files import ArtefactError, Values
from wsss.artefacts.predictors import read_predictor
from wsss.prediction.picture_files import picture_files
from wsss.runtime.imports import uncollected

if TYPE_CHECKING:
    from wsss.commands import Subparsers

log = logging.getLogger(__name__)


def add_parser(commands: Subparsers) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "predict",
        description=(
            "Write a palette PNG of class numbers for each picture, and legend.csv with their names. What is "
            "there already is skipped, so the same command goes on where it was stopped. A picture that "
            "cannot be read is named, the others go on, and the exit status is 1."
        ),
        epilog=(
            "examples: wsss predict results/voc/predictor photos --out labels   "
            "find . -name '*.jpg' | wsss predict results/voc/predictor - --out labels --overlay"
        ),
    )
    parser.add_argument("predictor", type=Path, help="folder made by the target results/NAME/predictor")
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="files, folders, patterns; - reads them from standard input",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument(
        "--overlay", action="store_true", help="also NAME.overlay.jpg: labels over the picture"
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="also NAME.npz: probabilities, float16 (C+1, H, W)"
    )
    _add_inference(parser)
    parser.set_defaults(command=_predict)


def _add_inference(parser: argparse.ArgumentParser) -> None:
    """Options that change how pictures are looked at; the default is what the predictor's score counts by."""
    parser.add_argument(
        "--crf",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="refine by a dense CRF on the picture",
    )
    parser.add_argument(
        "--scales", nargs="+", type=float, metavar="S", help="factors of the picture's size, DeepLab's"
    )
    parser.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, default=None, help="look at mirror images"
    )
    parser.add_argument(
        "--long-side",
        type=_count,
        metavar="PIXELS",
        help="show the network larger pictures at this size; labels keep the picture's own",
    )
    parser.add_argument(
        "--tile",
        type=_count,
        metavar="PIXELS",
        help="largest side seen at once (default 1536); beyond, tiles overlap",
    )
    parser.add_argument(
        "--batch",
        type=_count,
        default=1,
        metavar="N",
        help="neighbouring pictures of one size seen together (default 1)",
    )
    parser.add_argument(
        "--largest-image",
        type=_count,
        default=PIXELS,
        metavar="PIXELS",
        help=f"pixels that a picture may have (default {PIXELS}); a small damaged file may claim any number",
    )
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")


def _count(text: str) -> int:
    """A number from 1 on."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _predict(options: argparse.Namespace) -> int:
    logging.basicConfig(format="wsss: %(message)s", level=logging.INFO)
    # What is misspelt shows before the seconds that torch's import takes.
    own = read_predictor(options.predictor)["inference"]
    files = picture_files(options.pictures, sys.stdin)
    if options.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with uncollected():
        from wsss.prediction.label_pictures import label_pictures
        from wsss.prediction.outputs import Outputs
        from wsss.prediction.predictor import load_predictor

    predictor = load_predictor(options.predictor, inference=_inference(options, own), **_sizes(options))
    outputs = Outputs(options.out, overlay=options.overlay, probabilities=options.probabilities)
    outputs.begin(options.predictor, predictor)
    todo = [file for file in files if not outputs.has(file)]
    if len(todo) < len(files):
        log.info("%d of %d pictures are labelled already", len(files) - len(todo), len(files))
    try:
        failed = label_pictures(predictor, todo, outputs, options.batch, options.largest_image)
    except MemoryError as error:
        raise ArtefactError(str(error) or "the memory is full; give a smaller --tile or --batch") from error
    if failed:
        names = ", ".join(str(file.path) for file in failed)
        log.error("%d of %d pictures were not labelled: %s", len(failed), len(files), names)
    return 1 if failed else 0


def _inference(options: argparse.Namespace, own: Values) -> dict[str, Any]:
    """The settings that the options change of the predictor's own."""
    from wsss.methods.crf import DEEPLAB

    given = {
        name: getattr(options, name) for name in ("scales", "mirror") if getattr(options, name) is not None
    }
    if options.crf is None:
        return given
    return {**given, "crf": (own["crf"] or dict(DEEPLAB)) if options.crf else None}


def _sizes(options: argparse.Namespace) -> dict[str, int]:
    return {
        name: getattr(options, name) for name in ("tile", "long_side") if getattr(options, name) is not None
    }
