"""Augmentation by hand, and its bounds."""

import numpy as np
import pytest
import torch

from wsss.data.transforms import (
    normalise,
    random_crop,
    random_flip,
    random_rescale_long,
    random_scale,
    rescale,
    resize_square,
    scaled_size,
    to_tensor,
)


class Fixed:
    """A generator that returns what it is told."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def integers(self, low: int, high: int | None = None) -> int:
        return int(self.values.pop(0))

    def random(self) -> float:
        return self.values.pop(0)

    def uniform(self, low: float, high: float) -> float:
        return self.values.pop(0)


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_rescale_rounds_the_size_to_even_halves() -> None:
    assert rescale(image(5, 7), 0.5).shape == (2, 4, 3)  # np.round: 2.5 -> 2, 3.5 -> 4
    assert rescale(image(3, 400), 0.01).shape == (1, 4, 3)


def test_rescale_by_one_changes_nothing() -> None:
    pixels = image(5, 7)
    assert np.array_equal(rescale(pixels, 1.0), pixels)


def test_a_square_holds_the_whole_image() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 15:] = 200
    square = resize_square(image, 20)
    assert square.shape == (20, 20, 3)
    assert (square[:, :8] == 0).all() and (square[:, 12:] == 200).all()
    assert resize_square(square, 20) is square


def test_rescale_long_sets_the_long_side() -> None:
    pixels, labels = random_rescale_long(image(20, 40), np.zeros((20, 40), np.uint8), 5, 90, Fixed(60))
    assert pixels.shape == (30, 60, 3)
    assert labels is not None
    assert labels.shape == (30, 60)


def test_rescale_long_reaches_both_ends() -> None:
    rng = np.random.default_rng(0)
    sides = {max(random_rescale_long(image(4, 3), None, 6, 8, rng)[0].shape) for _ in range(60)}
    assert sides == {6, 7, 8}


def test_labels_are_never_mixed() -> None:
    labels = np.array([[0, 255], [20, 0]], np.uint8)
    _, scaled = random_scale(image(2, 2), labels, 0.5, 2.0, Fixed(3.7))
    assert scaled is not None
    assert scaled.shape == (7, 7)
    assert set(np.unique(scaled)) == {0, 20, 255}


def test_flip_mirrors_image_and_label_together() -> None:
    pixels, labels = image(2, 3), np.arange(6, dtype=np.uint8).reshape(2, 3)
    kept, same = random_flip(pixels, labels, Fixed(0.49))
    turned, mirrored = random_flip(pixels, labels, Fixed(0.5))
    assert np.array_equal(kept, pixels)
    assert np.array_equal(same, labels)
    assert np.array_equal(turned, pixels[:, ::-1])
    assert np.array_equal(mirrored, [[2, 1, 0], [5, 4, 3]])


def test_normalise_by_hand() -> None:
    pixels = np.array([[[0, 255, 51]]], np.uint8)
    result = normalise(pixels, (0.5, 0.5, 0.2), (0.5, 0.25, 0.1))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[[-1.0, 2.0, 0.0]]], atol=1e-6)


def test_crop_of_a_larger_image_is_a_window() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    square, cut = random_crop(pixels, labels, 2, Fixed(1, 3))
    assert np.array_equal(square, pixels[1:3, 3:5])
    assert np.array_equal(cut, labels[1:3, 3:5])


def test_crop_of_a_smaller_image_is_padded_with_zero_and_void() -> None:
    square, labels = random_crop(np.ones((1, 2, 3), np.float32), np.zeros((1, 2), np.uint8), 3, Fixed(2, 1))
    assert np.array_equal(square[..., 0], [[0, 0, 0], [0, 0, 0], [0, 1, 1]])
    assert np.array_equal(labels, [[255, 255, 255], [255, 255, 255], [255, 0, 0]])


def test_crop_mixes_window_and_padding() -> None:
    pixels = np.arange(1, 16, dtype=np.float32).reshape(1, 5, 3)
    square, labels = random_crop(pixels, None, 3, Fixed(0, 2))
    assert labels is None
    assert np.array_equal(square[0], pixels[0, 2:5])
    assert not square[1:].any()


@pytest.mark.parametrize(("side", "places"), [(3, {0}), (5, {0, 1, 2}), (1, {0, 1, 2})])
def test_crop_reaches_every_place(side: int, places: set[int]) -> None:
    rng = np.random.default_rng(0)
    line = np.tile(np.arange(1, side + 1, dtype=np.float32)[:, None, None], (1, 3, 3))
    columns = [random_crop(line, None, 3, rng)[0][:, 0, 0] for _ in range(60)]
    found = {int(np.argmax(column == 1)) if side < 3 else int(column[0]) - 1 for column in columns}
    assert found == places


def test_to_tensor_moves_channels_first() -> None:
    pixels = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    tensor = to_tensor(pixels[:, ::-1])
    assert tensor.shape == (3, 2, 2)
    assert tensor.is_contiguous()
    assert torch.equal(tensor[0], torch.tensor([[3.0, 0.0], [9.0, 6.0]]))


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.0, 1.5])
def test_scaled_size_is_that_of_the_rescaled_image(factor: float) -> None:
    image = np.zeros((5, 7, 3), np.uint8)
    assert scaled_size((5, 7), factor) == rescale(image, factor).shape[:2]
