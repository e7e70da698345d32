"""A trained network in use: from any picture to a label map, without data set, configuration or Snakemake."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from wsss.artefacts.decoding import PIXELS, read_picture, upright_pixels
from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import Labels, Manifest, Values
from wsss.artefacts.predictors import WEIGHTS, read_predictor
from wsss.config.errors import ConfigError
from wsss.config.inferences import checked_inference, checked_network
from wsss.data.transforms import rescale
from wsss.prediction.label_images import Labelled, Scored, labelled
from wsss.prediction.scorers import Scorer, load_scorer, probabilities_of
from wsss.prediction.segmentation import resized
from wsss.prediction.tiling import Tile, enlarged_part, inside, slices, tiles

if TYPE_CHECKING:
    from wsss.config.segmenters import Inference
    from wsss.config.single_stage import SingleStageInference

TILE = 1536  # pixels: with ResNet-101 over VOC's scales a tile takes some 3 GB, with small networks far less
SMALLEST_TILE = 64  # pixels

log = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """What a predictor says of a picture.

    Attributes:
        labels: Number of each pixel's class in ``classes``, uint8 (H, W).
        probabilities: Of each class at each pixel, float32 (C+1, H, W); None where they were not asked for.
        classes: Names, background first.
    """

    labels: Labels
    probabilities: NDArray[np.float32] | None
    classes: tuple[str, ...]


class Predictor:
    """A trained network with its way of inference.

    Attributes:
        classes: Names of the labels, background first.
        colours: Of the labels in palette images, uint8 (C+1, 3).
        description: All that is known of it: supervision, scores, settings; see ``predictor.json``.
        inference: How pictures are looked at. Of DeepLab ``scales`` and ``mirror``, of a single stage
            ``side`` and ``source``; of both ``crf``, the dense CRF's settings or None.
        tile: Largest side in pixels of what is seen at once; a larger picture is seen by overlapping tiles.
            A GPU that is too small for it halves it.
        long_side: Longest side in pixels at which a network sees pictures; None sees them as they are. Of a
            data set with such a size, it is that.
    """

    def __init__(
        self,
        description: Values,
        scorer: Scorer,
        inference: Inference | SingleStageInference,
        tile: int = TILE,
        long_side: int | None = None,
    ) -> None:
        _check_sizes(tile, long_side)
        self.description = description
        self.classes = tuple(entry["class"] for entry in description["labels"])
        self.colours = np.array([entry["colour"] for entry in description["labels"]], np.uint8)
        self.inference = inference
        self.tile = tile
        self.long_side = long_side
        self._scorer = scorer

    @property
    def sees_whole(self) -> bool:
        """Whether the network sees each picture whole at a size of its own, so that large ones look small."""
        return self._scorer.whole

    def __call__(self, image: PathLike | Image.Image | Labels, *, probabilities: bool = True) -> Prediction:
        """Label one picture.

        Args:
            image: A file, a PIL image, or pixels, uint8 (H, W, 3). An EXIF orientation is applied.
            probabilities: Whether they are wanted; they take 4 bytes for each class and pixel.

        Raises:
            ArtefactError: If the file is no whole picture.
            ValueError: If pixels are of another shape or type.
        """
        (prediction,) = self.predict([pixels_of(image)], probabilities=probabilities)
        return prediction

    def predict(
        self, pictures: Iterable[Labels], *, batch: int = 1, probabilities: bool = False
    ) -> Iterator[Prediction]:
        """Label a stream of pictures.

        Args:
            pictures: Pixels, uint8 (H, W, 3); taken as they are needed, so that few are in memory.
            batch: Neighbours of one size that the network sees together; faster on a GPU, and equal to
                single ones up to rounding.
            probabilities: Whether they are wanted.

        Yields:
            One prediction for each picture, in their order.
        """
        layouts: deque[_Layout] = deque()
        answers = self._answers(pictures, batch, layouts)
        parts = labelled(answers, self.inference.crf, probabilities=probabilities)
        for part in parts:
            layout = layouts.popleft()
            yield self._joined(layout, [part, *islice(parts, len(layout.tiles) - 1)])

    def _joined(self, layout: _Layout, parts: Sequence[Labelled]) -> Prediction:
        """Put a picture's tiles together."""
        if len(parts) == 1:
            return Prediction(*parts[0], self.classes)
        labels = np.empty(layout.size, np.uint8)
        planes = None
        if parts[0].probabilities is not None:
            planes = np.empty((len(self.classes), *layout.size), np.float32)
        for tile, part in zip(layout.tiles, parts, strict=True):
            place, kept = slices(tile.kept), inside(tile)
            labels[place] = part.labels[kept]
            if planes is not None and part.probabilities is not None:
                planes[:, *place] = part.probabilities[:, *kept]
        return Prediction(labels, planes, self.classes)

    def _answers(self, pictures: Iterable[Labels], batch: int, layouts: deque[_Layout]) -> Iterator[Scored]:
        """What the network says of each picture's tiles; ``layouts`` tells which they are."""
        for group in _same_size(pictures, batch, self.tile):
            yield from self._of_group(group, layouts)

    def _of_group(self, group: list[Labels], layouts: deque[_Layout]) -> Iterator[Scored]:
        """Of pictures of one size; where a GPU is too small for them, of fewer or of smaller tiles."""
        size = group[0].shape[:2]
        layout = _Layout(size, tiles(size, self.tile))
        answers = self._parts(group, layout)
        first = _first(answers)
        if first is None:
            if len(group) == 1:
                self._halve_tiles()
            for picture in group:
                yield from self._of_group([picture], layouts)
            return
        layouts.extend([layout] * len(group))
        yield first
        yield from answers

    def _halve_tiles(self) -> None:
        if self.tile // 2 < SMALLEST_TILE:
            raise MemoryError(
                f"the GPU's memory is full with tiles of {self.tile} pixels; take the CPU or fewer scales"
            )
        self.tile //= 2
        log.warning("the GPU's memory is full: from here on tiles of %d pixels", self.tile)

    def _parts(self, group: list[Labels], layout: _Layout) -> Iterator[Scored]:
        """Of each tile of one picture, or of whole pictures of one size."""
        pictures = np.stack(group)
        if len(layout.tiles) == 1 and not self._shrinks(layout.size):
            for picture, planes in zip(group, probabilities_of(self._scorer, pictures), strict=True):
                yield Scored(picture, planes.cpu().numpy())
            return
        if self._scorer.whole or self._shrinks(layout.size):
            seen = np.stack([self._shrunk(picture) for picture in group])
            scores = self._scorer.scores(seen)
            for picture, row in zip(group, scores, strict=True):
                yield from self._enlarged(picture, row[None], layout)
            return
        for tile in layout.tiles:
            part = pictures[0][slices(tile.seen)]
            (planes,) = probabilities_of(self._scorer, part[None])
            yield Scored(part, planes.cpu().numpy())

    def _enlarged(self, picture: Labels, scores: torch.Tensor, layout: _Layout) -> Iterator[Scored]:
        """Of each tile, by scores of the whole picture at another size, (1, C+1, h, w)."""
        for tile in layout.tiles:
            if len(layout.tiles) == 1:
                part = resized(scores, layout.size)
            else:
                part = enlarged_part(scores, layout.size, tile.seen)
            planes = self._scorer.probabilities(part)[0]
            yield Scored(picture[slices(tile.seen)], planes.cpu().numpy())

    def _shrinks(self, size: tuple[int, int]) -> bool:
        return self.long_side is not None and not self._scorer.whole and max(size) > self.long_side

    def _shrunk(self, picture: Labels) -> Labels:
        if not self._shrinks(picture.shape[:2]):
            return picture
        assert self.long_side is not None
        return rescale(picture, self.long_side / max(picture.shape[:2]))


class _Layout(NamedTuple):
    """How a picture is cut: its height and width, and the tiles."""

    size: tuple[int, int]
    tiles: list[Tile]


def load_predictor(
    folder: PathLike,
    *,
    inference: Values | None = None,
    tile: int = TILE,
    long_side: int | None = None,
) -> Predictor:
    """Load a predictor on the first visible GPU, or the CPU.

    Args:
        folder: As the target ``results/NAME/predictor`` makes it.
        inference: Settings in place of the predictor's own, such as ``{"scales": [1.0], "crf": None}``.
        tile: See :class:`Predictor`.
        long_side: See :class:`Predictor`.

    Raises:
        ArtefactError: If the folder is none, or damaged.
        ConfigError: If a setting is not one of this kind of network.
    """
    description = read_predictor(folder)
    kind = description["kind"]
    network = checked_network(kind, description["network"])
    chosen = checked_inference(kind, {**description["inference"], **(inference or {})})
    classes = tuple(entry["class"] for entry in description["labels"][1:])
    data = Manifest(description["dataset"], classes, ())
    weights = Path(folder) / WEIGHTS
    scorer = load_scorer(kind, weights, data, network, chosen)
    long_side = description["training"].get("long_side") if long_side is None else long_side
    return Predictor(description, scorer, chosen, tile, long_side)


def _check_sizes(tile: int, long_side: int | None) -> None:
    if tile < SMALLEST_TILE:
        raise ConfigError(f"tile: expected at least {SMALLEST_TILE} pixels, found {tile}")
    if long_side is not None and not 1 <= long_side <= tile:
        raise ConfigError(f"long_side: expected 1 to {tile} pixels, a tile's, found {long_side}")


def _first(answers: Iterator[Scored]) -> Scored | None:
    """The first answer; None where the GPU is too small for it, all that it held being free again."""
    try:
        return next(answers)
    except torch.OutOfMemoryError:
        return None


def pixels_of(image: PathLike | Image.Image | Labels, largest_image: int = PIXELS) -> Labels:
    """A picture's pixels as viewers show it, uint8 (H, W, 3).

    Args:
        image: A file, a PIL image, or pixels.
        largest_image: Pixels that a file may have.
    """
    if isinstance(image, Image.Image):
        return upright_pixels(image)
    if not isinstance(image, np.ndarray):
        return read_picture(image, largest_image).pixels
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image: expected uint8 (H, W, 3), found {image.dtype} {image.shape}")
    return image


def _same_size(pictures: Iterable[Labels], batch: int, tile: int) -> Iterator[list[Labels]]:
    """Neighbours of one size, at most ``batch``; those that are cut into tiles come alone."""
    group: list[Labels] = []
    for picture in pictures:
        large = max(picture.shape[:2]) > tile
        if group and (large or picture.shape != group[0].shape):
            yield group
            group = []
        group.append(picture)
        if large or len(group) == batch:
            yield group
            group = []
    if group:
        yield group
