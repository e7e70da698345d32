"""Label picture files one after the other, whatever is wrong with some of them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence

from wsss.artefacts.decoding import PIXELS
from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import Labels
from wsss.prediction.outputs import Outputs
from wsss.prediction.picture_files import PictureFile
from wsss.prediction.predictor import Predictor, pixels_of
from wsss.prediction.tiling import tiles
from wsss.runtime.progress import progress
from wsss.runtime.read_ahead import read_ahead

LARGE = 3  # times the long side of the training images, from which on objects may look unlike any in training

log = logging.getLogger(__name__)


def label_pictures(
    predictor: Predictor,
    files: Sequence[PictureFile],
    outputs: Outputs,
    batch: int = 1,
    largest_image: int = PIXELS,
) -> list[PictureFile]:
    """Label pictures and write the results; one that cannot be read is named, and the others go on.

    Args:
        predictor: The network.
        files: The pictures.
        outputs: Where results go.
        batch: How many neighbours of one size the network sees together.
        largest_image: Pixels that a picture may have.

    Returns:
        Those that could not be read.
    """
    reading = _Reading(predictor, files, batch, largest_image)
    predictions = predictor.predict(iter(reading), batch=batch, probabilities=outputs.probabilities)
    for prediction in predictions:
        file, picture = reading.waiting.popleft()
        outputs.write(file, picture, prediction)
    return reading.failed


class _Reading:
    """Pictures as they are read, a few ahead; those that were handed on wait here for their labels."""

    def __init__(
        self, predictor: Predictor, files: Sequence[PictureFile], batch: int, largest_image: int
    ) -> None:
        self._predictor = predictor
        self._files = files
        self._ahead = 2 * batch
        self._largest_image = largest_image
        self._warned = False
        self.waiting: deque[tuple[PictureFile, Labels]] = deque()
        self.failed: list[PictureFile] = []

    def __iter__(self) -> Iterator[Labels]:
        arriving = read_ahead(self._read, self._files, self._ahead)
        for file, future in progress(arriving, len(self._files), "labelling"):
            try:
                picture = future.result()
            except ArtefactError as error:
                log.error("%s", error)
                self.failed.append(file)
                continue
            self._tell(file, picture)
            self.waiting.append((file, picture))
            yield picture

    def _read(self, file: PictureFile) -> Labels:
        return pixels_of(file.path, self._largest_image)

    def _tell(self, file: PictureFile, picture: Labels) -> None:
        """Say what happens to a large picture, and once what may be better for it."""
        height, width = picture.shape[:2]
        seen = self._predictor.long_side or max(height, width)
        count = len(tiles((height, width), self._predictor.tile))
        if count > 1:
            log.info("%s: %d x %d pixels, in %d tiles", file.path, width, height, count)
        usual = max(self._predictor.description["training"]["median_size"])
        if seen > LARGE * usual and not self._warned and not self._predictor.sees_whole:
            self._warned = True
            log.warning(
                "%s: %d pixels long, the training images were %d; if objects are as much larger, "
                "give --long-side %d (long_side in Python)",
                file.path,
                seen,
                usual,
                usual,
            )
