"""Pictures out of their files: whole, upright, with 8 bits a channel.

A picture is turned as its EXIF orientation says, so that it lies as viewers show it, and a mask likewise. Of
16 bits the upper 8 are kept. What is transparent shows white.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss.artefacts.files import ArtefactError

PathLike = str | os.PathLike[str]

PIXELS = 178_956_970  # Pillow's own limit, above which a small file may be made to fill the memory
ORIENTATION = 0x0112  # EXIF's tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIXTEEN = {"I;16", "I;16L", "I;16B", "I;16N"}
WIDE = {"I": "32-bit integers", "F": "floating-point numbers"}
DIM = 2**12  # a 16-bit picture below it, as of a 12-bit camera, has 16 of 256 levels left
NOT_READ = {".heic", ".heif", ".jxl", ".dng"}
WHITE = (255, 255, 255, 255)

REPLACE = "replace or remove it"

_unlimited = threading.Lock()


class Picture(NamedTuple):
    """A picture's red, green and blue, uint8 (H, W, 3), and what happened to it on the way."""

    pixels: NDArray[np.uint8]
    orientation: int  # by which it was turned, 1 where it was not
    dim: bool  # it has 16 bits of which 12 are used


def read_picture(path: PathLike, limit: int = PIXELS) -> Picture:
    """Decode a picture.

    Args:
        path: Its file.
        limit: Pixels that it may have.

    Raises:
        ArtefactError: If it is missing, not whole, larger, or has more than 16 bits a channel.
    """
    image, orientation = _upright(path, REPLACE, limit)
    pixels, dim = _rgb(image, path)
    return Picture(pixels, orientation, dim)


def upright_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Red, green and blue of an image that is decoded already, as :func:`read_picture` gives them."""
    turn = TURNS.get(_orientation(image))
    return _rgb(image if turn is None else image.transpose(turn), "image")[0]


def _rgb(image: Image.Image, path: PathLike) -> tuple[NDArray[np.uint8], bool]:
    """Pixels, uint8 (H, W, 3), and whether they are a 12-bit camera's."""
    wide = image.mode in SIXTEEN or (image.mode == "I" and image.format == "PPM")  # Pillow's 16 bits of PGM
    if image.mode in WIDE and not wide:
        raise ArtefactError(
            f"{path}: expected 8 or 16 bits a channel, found {WIDE[image.mode]}; scale the picture to 8 bits"
        )
    if wide:
        values = np.asarray(image)
        grey = (values >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, 2), bool(0 < values.max() < DIM)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image.convert("RGBA"))
    return np.array(image.convert("RGB")), False


def decode(path: PathLike, fix: str = REPLACE, limit: int | None = None) -> Image.Image:
    """A file's image, upright, in its own mode.

    Args:
        path: Its file.
        fix: What to do if it is not whole.
        limit: Pixels that it may have; None for one that was checked, or that is of our making.
    """
    return _upright(path, fix, limit)[0]


def orientation_of(path: PathLike) -> int:
    """The EXIF orientation by which :func:`decode` turns a picture, 1 where it does not."""
    with Path(path).open("rb") as file, _any_size():
        return _orientation(Image.open(file))


def _upright(path: PathLike, fix: str, limit: int | None) -> tuple[Image.Image, int]:
    """The image, and the orientation that it was turned by."""
    fix = "save it as JPEG or PNG" if Path(path).suffix.lower() in NOT_READ else fix
    try:
        # Given a name and not a file, Pillow 13 misreads uncompressed TIFFs that lie on their side.
        with Path(path).open("rb") as file:
            with _any_size():
                image = Image.open(file)
            _check_pixels(path, image.size, limit)
            with _any_size() if image.size[0] * image.size[1] > PIXELS else nullcontext():
                orientation = _orientation(image)
                image.load()  # which turns a TIFF
            turn = TURNS.get(_orientation(image))
            upright = image if turn is None else image.transpose(turn)
            upright.format = image.format
            return upright, orientation
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: no such file") from error
    except ArtefactError:
        raise
    # Pillow reports damage by all of these, depending on the format.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ArtefactError(f"{path}: not a whole image ({error}); {fix}") from error


def _check_pixels(path: PathLike, size: tuple[int, int], limit: int | None) -> None:
    if limit is not None and size[0] * size[1] > limit:
        raise ArtefactError(
            f"{path}: expected at most {limit} pixels, found {size[0]}x{size[1]} = {size[0] * size[1]}; "
            "scale it down, or raise largest_image"
        )


@contextmanager
def _any_size() -> Iterator[None]:
    """Without Pillow's limit, which is one for the whole process and knows nothing of the configuration."""
    with _unlimited:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _orientation(image: Image.Image) -> int:
    """EXIF's number, 1 where there is none that can be read and turns a picture."""
    try:
        orientation = int(image.getexif().get(ORIENTATION, 1))
        return orientation if orientation in TURNS else 1
    except (
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
    ):  # damaged EXIF harms no pixel
        return 1
