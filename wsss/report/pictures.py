"""Small pictures as data URIs: a photograph once, and on top of it transparent label maps and class maps."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss.artefacts.formats import palette
from wsss.methods.void import VOID
from wsss.report.figures import HEAT_COLOURS, Picture

PHOTO_SIDE = 192  # pixels, longest side at which pictures are embedded
HEAT_SIDE = 96  # class maps are smooth and are enlarged by the browser
LEVELS = 64  # of a class map
QUALITY = 75  # of the photographs' WebP, 0 to 100
LABEL_ALPHA = 190  # of 255
HEAT_ALPHA = (64, 230)  # of 255, at 0 and at 1


def photo_uri(image: Picture) -> str:
    """A photograph as WebP; uint8 (H, W, 3)."""
    picture = Image.fromarray(image)
    return _uri(_shrunk(picture, PHOTO_SIDE, Image.Resampling.LANCZOS), "WEBP", quality=QUALITY, method=4)


def label_uri(label: Picture) -> str:
    """A label map, uint8 (H, W), as a palette PNG in which background is clear and void (255) white."""
    colours = palette().copy()
    colours[VOID] = 255
    alpha = np.full(256, LABEL_ALPHA, np.uint8)
    alpha[0] = 0
    picture = _shrunk(Image.fromarray(label), PHOTO_SIDE, Image.Resampling.NEAREST)
    return _palette_uri(picture, colours, alpha)


def heat_uri(heat: NDArray[np.float32]) -> str:
    """A class map within [0, 1], (H, W), as a palette PNG that is clearest where the map is 0."""
    picture = _shrunk(Image.fromarray(heat.astype(np.float32)), HEAT_SIDE, Image.Resampling.BOX)
    steps = np.rint(np.clip(np.asarray(picture), 0, 1) * (LEVELS - 1)).astype(np.uint8)
    values = np.linspace(0, 1, LEVELS)
    colours = np.rint(mpl.colormaps[HEAT_COLOURS](values)[:, :3] * 255).astype(np.uint8)
    alpha = np.rint(np.interp(values, [0, 1], HEAT_ALPHA)).astype(np.uint8)
    return _palette_uri(Image.fromarray(steps), colours, alpha)


def _shrunk(picture: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    """The picture with its longest side at most ``side``."""
    factor = min(1.0, side / max(picture.size))
    width, height = (max(1, round(length * factor)) for length in picture.size)
    return picture.resize((width, height), resampling)


def _palette_uri(picture: Image.Image, colours: Picture, alpha: NDArray[np.uint8]) -> str:
    picture.putpalette(colours.tobytes())
    return _uri(picture, "PNG", optimize=True, transparency=alpha.tobytes())


def _uri(picture: Image.Image, form: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
