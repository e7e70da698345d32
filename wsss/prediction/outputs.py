"""Where predictions of pictures are written, which of them are there already, and how they were made."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from wsss.artefacts.files import ArtefactError, PathLike, atomic_file, digest
from wsss.artefacts.formats import Labels, label_path, read_json, write_json, write_mask
from wsss.artefacts.predictors import DESCRIPTION
from wsss.prediction.picture_files import PictureFile
from wsss.prediction.predictor import Prediction, Predictor

RECORD, LEGEND = "predictions.json", "legend.csv"
OVERLAY_QUALITY = 90  # of JPEG, 0 to 100


class Outputs:
    """A folder of palette PNGs, ``NAME.png``, with ``legend.csv`` and a record of how they were made.

    Args:
        folder: The folder; it is made.
        overlay: Whether ``NAME.overlay.jpg`` shows the labels over the picture.
        probabilities: Whether ``NAME.npz`` holds ``probabilities``, float16 (C+1, H, W), and ``classes``.
    """

    def __init__(self, folder: PathLike, *, overlay: bool = False, probabilities: bool = False) -> None:
        self.folder = Path(folder)
        self.overlay = overlay
        self.probabilities = probabilities

    def begin(self, source: PathLike, predictor: Predictor) -> None:
        """Write legend and record, or refuse a folder whose predictions were made otherwise.

        Args:
            source: The predictor's folder.
            predictor: The predictor.
        """
        sizes = {"tile": predictor.tile, "long_side": predictor.long_side}
        made = {
            "predictor": digest(Path(source) / DESCRIPTION),
            "inference": predictor.inference.model_dump(),
            **sizes,
        }
        path = self.folder / RECORD
        if path.exists() and (found := read_json(path)) != made:
            changed = sorted(key for key in {*found, *made} if found.get(key) != made.get(key))
            raise ArtefactError(
                f"{self.folder}: expected predictions made as now, found some with another "
                f"{' and '.join(changed)} ({RECORD}); choose another folder or remove it"
            )
        with atomic_file(self.folder / LEGEND) as temporary:
            temporary.write_text(_legend(predictor.description["labels"]), encoding="utf-8")
        write_json(path, made)

    def has(self, file: PictureFile) -> bool:
        """Whether all that is asked of a picture is there, and younger than the picture."""
        paths = [label_path(self.folder, file.name)]
        paths += [self._overlay(file)] if self.overlay else []
        paths += [self._probabilities(file)] if self.probabilities else []
        changed = file.path.stat().st_mtime_ns if file.path.exists() else 0
        return all(path.exists() and path.stat().st_mtime_ns >= changed for path in paths)

    def write(self, file: PictureFile, picture: Labels, prediction: Prediction) -> None:
        """Write a picture's files, the label map last: once it is there, all are."""
        if self.overlay:
            self._write_overlay(file, picture, prediction)
        if self.probabilities:
            self._write_probabilities(file, prediction)
        write_mask(label_path(self.folder, file.name), prediction.labels)

    def _write_overlay(self, file: PictureFile, picture: Labels, prediction: Prediction) -> None:
        from PIL import Image

        from wsss.report.figures import label_overlay  # matplotlib, whose import takes a second

        with atomic_file(self._overlay(file), tidy=False) as temporary:
            shown = Image.fromarray(label_overlay(picture, prediction.labels))
            shown.save(temporary, format="JPEG", quality=OVERLAY_QUALITY)

    def _write_probabilities(self, file: PictureFile, prediction: Prediction) -> None:
        assert prediction.probabilities is not None
        with atomic_file(self._probabilities(file), tidy=False) as temporary, temporary.open("wb") as stream:
            planes = prediction.probabilities.astype(np.float16)
            np.savez_compressed(stream, probabilities=planes, classes=np.array(prediction.classes))

    def _overlay(self, file: PictureFile) -> Path:
        return label_path(self.folder, file.name).with_name(f"{_last(file)}.overlay.jpg")

    def _probabilities(self, file: PictureFile) -> Path:
        return label_path(self.folder, file.name).with_name(f"{_last(file)}.npz")


def _last(file: PictureFile) -> str:
    """The last part of a result's name, which may have dots of its own."""
    return file.name.rpartition("/")[2]


def _legend(labels: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["label", "class", "red", "green", "blue"])
    rows.writerows([entry["label"], entry["class"], *entry["colour"]] for entry in labels)
    return text.getvalue()
