"""Pictures of other depths, with transparency, turned by EXIF, and too large ones."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wsss.artefacts import decoding
from wsss.artefacts.decoding import decode, orientation_of, read_picture
from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import Record, read_image, read_mask

SHOWN = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)  # as a viewer shows it
# What a file must hold to be shown so, by EXIF's definition of where its first row and column lie.
STORED = {
    1: SHOWN,
    2: SHOWN[:, ::-1],
    3: SHOWN[::-1, ::-1],
    4: SHOWN[::-1],
    5: SHOWN.T,
    6: np.rot90(SHOWN),
    7: SHOWN[::-1, ::-1].T,
    8: np.rot90(SHOWN, -1),
}


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_pictures_and_masks_lie_as_viewers_show_them(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    stored.save(path, exif=exif(orientation), **({"lossless": True} if suffix == ".webp" else {}))
    assert read_image(path)[:, :, 0].tolist() == SHOWN.tolist()
    assert orientation_of(path) == orientation
    if suffix == ".png":
        assert read_mask(path).tolist() == SHOWN.tolist()


def test_damaged_exif_harms_no_picture(tmp_path: Path) -> None:
    Image.fromarray(SHOWN).save(tmp_path / "a.png", exif=b"Exif\x00\x00nonsense")
    assert read_image(tmp_path / "a.png")[:, :, 0].tolist() == SHOWN.tolist()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bits_become_8(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 255, 256, 65535]], np.uint16)
    if name == "a.pgm":
        (tmp_path / name).write_bytes(b"P5\n4 1\n65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(tmp_path / name)
    pixels, _, dim = read_picture(tmp_path / name)
    assert pixels.tolist() == [[[0] * 3, [0] * 3, [1] * 3, [255] * 3]]
    assert not dim


@pytest.mark.parametrize(
    ("values", "named"),
    [(np.full((2, 3), 70000, np.int32), "32-bit integers"), (np.ones((2, 3), np.float32), "floating-point")],
)
def test_wider_pictures_are_refused_by_name(tmp_path: Path, values: NDArray, named: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(
        ArtefactError, match=rf"a\.tif: expected 8 or 16 bits a channel, found {named}.* 8 bits"
    ):
        read_image(tmp_path / "a.tif")


def test_what_is_transparent_shows_white(tmp_path: Path) -> None:
    pixels = np.array([[[200, 10, 0, 0], [200, 10, 0, 255], [200, 0, 100, 51]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    # A fifth of the colour over four fifths of white, 244 = 0.2 * 200 + 0.8 * 255.
    assert read_image(tmp_path / "a.png").tolist() == [[[255, 255, 255], [200, 10, 0], [244, 204, 224]]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([9, 9, 9, 80, 80, 80])
    palette.save(tmp_path / "b.png", transparency=0)
    assert read_image(tmp_path / "b.png").tolist() == [[[255] * 3, [80] * 3]]
    assert read_mask(tmp_path / "b.png").tolist() == [[0, 1]]  # a label map's colours mean nothing


def test_the_limit_on_pixels_is_the_caller_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(SHOWN).save(path)
    with pytest.raises(
        ArtefactError, match=r"a\.png: expected at most 5 pixels, found 3x2 = 6; .*largest_image"
    ):
        read_picture(path, limit=5)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)  # Pillow's own, at which TIFFs are looked at twice
    monkeypatch.setattr(decoding, "PIXELS", 1)
    Image.fromarray(SHOWN).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif", limit=6).pixels.shape == (2, 3, 3)
    assert read_picture(path, limit=6).pixels.shape == (2, 3, 3)
    assert read_image(Record("a", str(path), None, 2, 3, (), ())).shape == (2, 3, 3)
    assert Image.MAX_IMAGE_PIXELS == 1


def test_pictures_that_pillow_cannot_read_are_to_be_saved_anew(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(ArtefactError, match=r"a\.heic: not a whole image .*; save it as JPEG or PNG"):
        decode(tmp_path / "a.heic")
