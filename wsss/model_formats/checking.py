"""Whether an exported file says what the predictor says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from wsss.model_formats.form import Pictures, Run
from wsss.prediction.predictor import Predictor

SHAPES = ((1, 64, 64), (3, 75, 110), (2, 161, 97), (1, 1, 1))  # batch, height, width of random pictures


class Difference(NamedTuple):
    """Between an exported file and its predictor.

    Attributes:
        pictures: Number of pictures.
        largest: Largest difference of a probability.
        pixels: Number of pixels.
        labels: Of these, those whose most probable label differs.
    """

    pictures: int
    largest: float
    pixels: int
    labels: int

    def __str__(self) -> str:
        share = self.labels / self.pixels
        return (
            f"of {self.pictures} pictures probabilities differ by at most {self.largest:.1e}, labels in "
            f"{self.labels} of {self.pixels} pixels ({share:.4%})"
        )


def random_pictures() -> list[Pictures]:
    """Batches of several sizes, uint8 (B, H, W, 3), the same each time."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES]


def difference(run: Run, predictor: Predictor, batches: Iterable[Pictures]) -> Difference:
    """Compare an exported file with its predictor.

    Args:
        run: The file, opened.
        predictor: Set to what was exported: one scale, no mirror images, no CRF.
        batches: Pictures, uint8 (B, H, W, 3).
    """
    found = [_of_batch(run(pictures), predictor, pictures) for pictures in batches]
    pictures, largest, pixels, labels = zip(*found, strict=True)
    return Difference(sum(pictures), float(np.max(largest)), sum(pixels), sum(labels))


def _of_batch(found: np.ndarray, predictor: Predictor, pictures: Pictures) -> Difference:
    expected = np.stack([_planes(predictor, picture) for picture in pictures])
    if found.shape != expected.shape:
        return Difference(len(pictures), float("inf"), expected[:, 0].size, expected[:, 0].size)
    moved = found.argmax(1) != expected.argmax(1)
    return Difference(len(pictures), float(np.abs(found - expected).max()), moved.size, int(moved.sum()))


def _planes(predictor: Predictor, picture: Pictures) -> np.ndarray:
    planes = predictor(picture).probabilities
    assert planes is not None
    return planes
