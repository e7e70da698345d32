import numpy as np
import pytest
import torch
from PIL import Image

from wsss.model_formats.resizing import PillowBicubic

SIDE = 48
UP_DOWN_NEITHER = [(1, 1), (48, 48), (20, 31), (31, 20), (48, 90), (90, 48), (47, 200), (2, 130), (130, 2)]
ORDER_CHANGES = [(49, 47), (51, 49), (50, 49), (144, 96), (145, 96), (300, 100), (100, 300), (200, 47)]


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].double()
    found = PillowBicubic(side)(planes)[0].permute(1, 2, 0)
    return found.numpy()


@pytest.mark.parametrize("size", [*UP_DOWN_NEITHER, *ORDER_CHANGES])
def test_the_bytes_are_pillows(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, (*size, 3), np.uint8) * 255  # which overshoots, so that clipping counts
    for picture in (noise, rng.integers(0, 256, (*size, 3), np.uint8)):
        expected = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        assert np.array_equal(resized(picture, SIDE), np.asarray(expected))


def test_a_picture_of_one_colour_keeps_it() -> None:
    assert (resized(np.full((37, 90, 3), 201, np.uint8), 64) == 201).all()
