"""An export from start to end: written, opened again, compared with the predictor, and only then there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsss.artefacts.files import ArtefactError, PathLike, atomic_file
from wsss.artefacts.predictors import read_predictor
from wsss.config.inferences import SEGMENTER
from wsss.data.transforms import long_side_factor, rescale
from wsss.model_formats.checking import Difference, difference, random_pictures
from wsss.model_formats.form import Form, Pictures, Run
from wsss.model_formats.graphs import build_graph
from wsss.model_formats.metadata import metadata
from wsss.prediction.predictor import load_predictor, pixels_of

TOLERANCE = 1e-4  # of a probability: float32 in another order of additions gives some 1e-5
LONG_SIDE = 1024  # pixels: larger pictures are compared at this size, below the predictor's tiles


def one_pass(kind: str) -> dict[str, Any]:
    """Settings of the inference that an export is one pass of, in place of the predictor's own.

    Args:
        kind: Kind of the network, ``segmenter`` or a single-stage method.
    """
    return {"scales": [1.0], "mirror": False, "crf": None} if kind == SEGMENTER else {"crf": None}


class Exported(NamedTuple):
    """What an export comes to.

    Attributes:
        metadata: What the file says of itself.
        random: The difference from the predictor on random pictures.
        given: On given ones; None without any.
    """

    metadata: dict[str, str]
    random: Difference
    given: Difference | None


def export_model(
    predictor: PathLike,
    out: Path,
    form: Form,
    *,
    pictures: Sequence[PathLike] = (),
    tolerance: float = TOLERANCE,
    overwrite: bool = False,
) -> Exported:
    """Export a predictor's network; on the CPU, so hide a GPU from torch before.

    Args:
        predictor: The predictor's folder.
        out: What to write.
        form: The form.
        pictures: Files of pictures to compare on, besides random ones.
        tolerance: The largest difference of a probability that is let pass.
        overwrite: Whether a file that is there is replaced.

    Raises:
        ArtefactError: If the folder is no predictor, the output is there, packages or a picture are missing,
            or the file differs from the predictor; nothing is written then.
    """
    _check_output(out, form, overwrite)
    form.check()
    description = read_predictor(predictor)
    own = metadata(predictor, description)
    given = [_shown(picture) for picture in pictures]
    original = load_predictor(predictor, inference=one_pass(description["kind"]))
    with atomic_file(out) as temporary:
        with _refused(out, form):
            form.write(build_graph(predictor, description), temporary, own)
            run = form.load(temporary)
        found = [
            difference(_named(run, out, form), original, batches)
            for batches in (random_pictures(), given)
            if batches
        ]
        _check_differences(found, out, tolerance)
    return Exported(own, found[0], found[1] if given else None)


@contextmanager
def _refused(out: Path, form: Form) -> Iterator[None]:
    """Say of whatever an exporter or a runtime raises, of types of its own, that nothing was written."""
    try:
        yield
    except (ArtefactError, OSError, MemoryError):
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise ArtefactError(
            f"{out}: not written, for this network cannot be {form.title} ({type(error).__name__}: {said}); "
            "take the other form"
        ) from error


def _named(run: Run, out: Path, form: Form) -> Run:
    def named(pictures: Pictures) -> NDArray[np.float32]:
        with _refused(out, form):
            return run(pictures)

    return named


def _check_output(out: Path, form: Form, overwrite: bool) -> None:
    if out.suffix != form.suffix:
        raise ArtefactError(f"{out}: expected a name that ends in {form.suffix} for {form.title}")
    if out.is_dir():
        raise ArtefactError(f"{out}: expected a file's name, found a folder; give another --out")
    if out.exists() and not overwrite:
        raise ArtefactError(f"{out}: is there already; give another --out, or --overwrite to replace it")


def _shown(picture: PathLike) -> Pictures:
    """A batch of one picture, uint8 (1, H, W, 3), scaled down if it is large."""
    pixels: Any = pixels_of(picture)
    if max(pixels.shape[:2]) > LONG_SIDE:
        pixels = rescale(pixels, long_side_factor(pixels.shape[:2], LONG_SIDE))
    return pixels[None]


def _check_differences(found: Sequence[Difference], out: Path, tolerance: float) -> None:
    for one in found:
        if not one.largest <= tolerance:  # a NaN, too, is no success
            raise ArtefactError(
                f"{out}: not written, for it differs from the predictor: expected probabilities within "
                f"{tolerance:g}, but {one}; take the other form, or --tolerance if that is close enough"
            )
