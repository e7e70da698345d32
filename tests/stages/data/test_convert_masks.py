"""Masks whose values the configuration names, as label maps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.datasets import folder_set, mask
from wsss.artefacts.formats import read_manifest, read_mask
from wsss.data.folder import list_folder
from wsss.data.records import DataError
from wsss.stages.data import convert_masks, prepare_manifest


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Of two images, a cat and a dog, whose masks are 0 and 255, and 0 and 7."""
    kept = folder_set(tmp_path)
    for name, label in (("a", 255), ("b", 7)):
        mask(tmp_path / "masks" / f"{name}.png", label=label)
    return {**kept, "masks_values": {0: "background", 7: "dog", 255: "cat"}}


def test_values_become_labels_that_the_manifest_names(tmp_path: Path, settings: dict[str, Any]) -> None:
    source, path = tmp_path / "source", tmp_path / "manifest.jsonl"
    convert_masks.run(source=source, settings=settings)
    assert np.bincount(read_mask(source / "masks/a.png").ravel()).tolist() == [24, 24]
    assert np.bincount(read_mask(source / "masks/b.png").ravel()).tolist() == [24, 0, 24]
    prepare_manifest.run(manifest=path, dataset="pets", settings=settings, source=source)
    assert [record.mask for record in read_manifest(path).records] == [
        str(source / "masks/a.png"),
        str(source / "masks/b.png"),
    ]


def test_ignored_values_and_masks_from_0_without_a_background(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    values = {0: "cat", 7: "dog", 255: "ignore"}
    convert_masks.run(source=tmp_path / "source", settings={**settings, "masks_values": values})
    assert np.unique(read_mask(tmp_path / "source/masks/a.png")).tolist() == [1, 255]
    assert np.unique(read_mask(tmp_path / "source/masks/b.png")).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({0: "background", 255: "cat"}, "b.png: expected those that `masks_values` has, found 7 too"),
        ({0: "wolf"}, "masks_values.0: expected background, ignore, cat, dog, found 'wolf'"),
    ],
)
def test_what_has_no_meaning_is_refused(
    tmp_path: Path, settings: dict[str, Any], values: dict[int, str], said: str
) -> None:
    with pytest.raises(DataError, match="cannot be used") as error:
        convert_masks.run(source=tmp_path / "source", settings={**settings, "masks_values": values})
    assert said in str(error.value)
    assert not (tmp_path / "source").exists()


def test_unreadable_masks_are_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "masks" / "b.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"unreadable mask, 1 in all"):
        convert_masks.run(source=tmp_path / "source", settings=settings)


def test_an_image_without_a_mask_keeps_none(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "masks" / "b.png").unlink()
    convert_masks.run(source=tmp_path / "source", settings=settings)
    a, b = list_folder(settings, tmp_path / "source").entries
    assert (a.mask, b.mask) == (tmp_path / "source/masks/a.png", None)
