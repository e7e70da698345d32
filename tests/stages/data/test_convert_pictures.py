"""Pictures at the size that the configuration names, and masks of the values that it names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.datasets import folder_set, mask, picture
from wsss.artefacts.formats import read_image, read_manifest, read_mask
from wsss.config.datasets import FolderData
from wsss.data.folder import list_folder
from wsss.data.records import DataError
from wsss.stages.data import convert_pictures, prepare_manifest


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Of two images, a cat and a dog, whose masks are 0 and 255, and 0 and 7."""
    kept = folder_set(tmp_path)
    for name, label in (("a", 255), ("b", 7)):
        mask(tmp_path / "masks" / f"{name}.png", label=label)
    return {**kept, "masks_values": {0: "background", 7: "dog", 255: "cat"}}


def test_values_become_labels_that_the_manifest_names(tmp_path: Path, settings: dict[str, Any]) -> None:
    source, path = tmp_path / "source", tmp_path / "manifest.jsonl"
    convert_pictures.run(source=source, settings=settings)
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
    convert_pictures.run(source=tmp_path / "source", settings={**settings, "masks_values": values})
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
        convert_pictures.run(source=tmp_path / "source", settings={**settings, "masks_values": values})
    assert said in str(error.value)
    assert not (tmp_path / "source").exists()


def test_unreadable_masks_are_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "masks" / "b.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"unreadable mask, 1 in all"):
        convert_pictures.run(source=tmp_path / "source", settings=settings)


def test_an_image_without_a_mask_keeps_none(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "masks" / "b.png").unlink()
    convert_pictures.run(source=tmp_path / "source", settings=settings)
    a, b = list_folder(FolderData(**settings), tmp_path / "source").entries
    assert (a.mask, b.mask) == (tmp_path / "source/masks/a.png", None)


# ------------------------------------------------------------------------------------------- large pictures


@pytest.fixture
def large(tmp_path: Path) -> dict[str, Any]:
    """Of a, 60 x 80 pixels with a mask, and b, which is small; read at 40 pixels of the longer side."""
    kept = folder_set(tmp_path)
    picture(tmp_path / "images" / "a.jpg", (60, 80))
    mask(tmp_path / "masks" / "a.png", (60, 80), label=1)
    return {**kept, "long_side": 40, "masks_values": {}}


def test_large_pictures_and_their_masks_are_made_smaller(tmp_path: Path, large: dict[str, Any]) -> None:
    source, path = tmp_path / "source", tmp_path / "manifest.jsonl"
    convert_pictures.run(source=source, settings=large)
    written = sorted(str(one.relative_to(source)) for one in source.rglob("*.png"))
    assert written == ["images/a.png", "masks/a.png"]
    prepare_manifest.run(manifest=path, dataset="pets", settings=large, source=source)
    a, b = read_manifest(path).records
    assert (a.height, a.width) == (30, 40)
    assert (a.image, a.mask) == (str(source / "images/a.png"), str(source / "masks/a.png"))
    assert (b.height, b.width) == (6, 8)
    assert (b.image, b.mask) == (str(tmp_path / "images/b.jpg"), str(tmp_path / "masks/b.png"))
    assert read_mask(str(a.mask)).tolist() == [[1] * 40] * 15 + [[0] * 40] * 15
    whole = read_image(tmp_path / "images/a.jpg").mean((0, 1))
    np.testing.assert_allclose(read_image(a).mean((0, 1)), whole, atol=1)


def test_pictures_lie_as_they_are_shown(tmp_path: Path, large: dict[str, Any]) -> None:
    pixels = np.zeros((80, 60, 3), np.uint8)
    pixels[40:] = 200  # shown turned to the right: the lower half is on the left
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "images" / "a.jpg", exif=exif, quality=95)
    convert_pictures.run(source=tmp_path / "source", settings=large)
    shown = read_image(tmp_path / "source/images/a.png")
    assert shown.shape == (30, 40, 3)
    assert shown[:, :18].min() > 170 and shown[:, 22:].max() < 30


def test_values_become_labels_before_masks_are_made_smaller(tmp_path: Path, large: dict[str, Any]) -> None:
    mask(tmp_path / "masks" / "a.png", (60, 80), label=255)
    mask(tmp_path / "masks" / "b.png", label=7)
    values = {0: "background", 7: "dog", 255: "cat"}
    settings = {**large, "masks_values": values}
    convert_pictures.run(source=tmp_path / "source", settings=settings)
    a, b = (
        read_mask(str(entry.mask))
        for entry in list_folder(FolderData(**settings), tmp_path / "source").entries
    )
    assert a.shape == (30, 40) and np.unique(a).tolist() == [0, 1]
    assert b.shape == (6, 8) and np.unique(b).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("size", "label", "said"),
    [((30, 40), 1, "a.png: expected 80x60, found 40x30"), ((60, 80), 3, "expected 0..2 and 255, found 3")],
)
def test_masks_are_checked_at_the_size_that_they_have(
    tmp_path: Path, large: dict[str, Any], size: tuple[int, int], label: int, said: str
) -> None:
    mask(tmp_path / "masks" / "a.png", size, label)
    with pytest.raises(DataError, match="cannot be used") as error:
        convert_pictures.run(source=tmp_path / "source", settings=large)
    assert said in str(error.value)
    assert not (tmp_path / "source").exists()


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path, large: dict[str, Any]) -> None:
    (tmp_path / "images" / "a.jpg").write_bytes(b"none")
    with pytest.raises(DataError, match=r"unreadable image, 1 in all"):
        convert_pictures.run(source=tmp_path / "source", settings=large)


def test_doubts_about_what_was_written_are_said(
    tmp_path: Path, large: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "images" / "a.jpg", exif=exif)
    convert_pictures.run(source=tmp_path / "source", settings=large)
    assert any("1 pictures are turned by their EXIF orientation" in said for said in caplog.messages)
