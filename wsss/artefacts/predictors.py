"""The folder of a trained network in use: all that labelling a picture takes, and what is known of it.

It stands alone: ``predictor.json`` tells classes, network, inference, supervision and scores,
``weights.safetensors`` is the artefact of the training, ``README.md`` says the same for people.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from wsss.artefacts.files import ArtefactError, PathLike, Values, atomic_folder
from wsss.artefacts.formats import palette, read_json, write_json

DESCRIPTION, WEIGHTS, CARD = "predictor.json", "weights.safetensors", "README.md"
FORM, VERSION = "predictor", 1
BACKGROUND = "background"


def write_predictor(folder: PathLike, description: Values, weights: PathLike, card: str) -> None:
    """Write the folder as a whole.

    Args:
        folder: Where to.
        description: What ``predictor.json`` tells, besides its form.
        weights: The artefact of the network's training, which is copied.
        card: Text of ``README.md``.
    """
    with atomic_folder(folder) as temporary:
        write_json(temporary / DESCRIPTION, {"form": FORM, "version": VERSION, **description})
        shutil.copyfile(weights, temporary / WEIGHTS)
        (temporary / CARD).write_text(card, encoding="utf-8")


def read_predictor(folder: PathLike) -> dict[str, Any]:
    """Read a predictor's description.

    Raises:
        ArtefactError: If the folder is none, or of another version.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise ArtefactError(
            f"{folder}: expected the folder of a predictor with {DESCRIPTION}, found none; "
            "snakemake makes it as results/NAME/predictor"
        )
    description = read_json(path)
    found = description.get("form"), description.get("version")
    if found != (FORM, VERSION):
        raise ArtefactError(
            f"{path}: expected form {FORM!r} version {VERSION}, found form {found[0]!r} version {found[1]}; "
            "package it anew"
        )
    return description


def label_entries(classes: list[str] | tuple[str, ...]) -> list[dict[str, Any]]:
    """Each label with its class and its colour in label maps, background first."""
    colours = palette().tolist()
    names = [BACKGROUND, *classes]
    return [{"label": label, "class": name, "colour": colours[label]} for label, name in enumerate(names)]
