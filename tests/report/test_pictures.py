"""Embedded pictures: what they show, and that they are small."""

import base64
import io

import matplotlib as mpl
import numpy as np
from PIL import Image

from wsss.artefacts.formats import palette
from wsss.report.pictures import (
    HEAT_ALPHA,
    HEAT_SIDE,
    LABEL_ALPHA,
    PHOTO_SIDE,
    heat_uri,
    label_uri,
    photo_uri,
)


def decode(uri: str, form: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == f"data:image/{form};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA"))


def test_labels_keep_their_colours_and_background_is_clear() -> None:
    label = np.zeros((20, 30), np.uint8)
    label[:5], label[5:10] = 3, 255
    picture = decode(label_uri(label), "png")
    assert picture.shape == (20, 30, 4)
    assert picture[0, 0].tolist() == [*palette()[3].tolist(), LABEL_ALPHA]
    assert picture[7, 0].tolist() == [255, 255, 255, LABEL_ALPHA]
    assert picture[15, 0, 3] == 0


def test_shrinking_makes_no_new_labels() -> None:
    label = np.random.default_rng(0).choice(np.array([0, 3, 7], np.uint8), (500, 401))
    picture = decode(label_uri(label), "png")
    assert max(picture.shape) == PHOTO_SIDE
    colours = {tuple(colour) for colour in picture[picture[..., 3] > 0][:, :3].tolist()}
    assert colours == {tuple(palette()[index].tolist()) for index in (3, 7)}


def test_heat_runs_from_dark_and_clear_to_bright() -> None:
    heat = np.zeros((10, 12), np.float32)
    heat[:5] = 1
    picture = decode(heat_uri(heat), "png")
    for row, value, alpha in ((0, 1.0, HEAT_ALPHA[1]), (9, 0.0, HEAT_ALPHA[0])):
        expected = np.rint(np.array(mpl.colormaps["inferno"](value)[:3]) * 255)
        assert np.abs(picture[row, 0, :3] - expected).max() <= 1
        assert picture[row, 0, 3] == alpha


def test_heat_of_a_large_image_is_small() -> None:
    uri = heat_uri(np.random.default_rng(0).random((600, 400), np.float32))
    assert decode(uri, "png").shape[:2] == (HEAT_SIDE, HEAT_SIDE * 2 // 3)
    assert len(uri) < 10_000


def test_a_photograph_is_shrunk_and_never_enlarged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 600, 3), dtype=np.uint8)
    assert decode(photo_uri(image), "webp").shape == (PHOTO_SIDE // 2, PHOTO_SIDE, 4)
    assert decode(photo_uri(image[:10, :30]), "webp").shape == (10, 30, 4)
