"""The two views of an image."""

from typing import Any

import numpy as np
import pytest
import torch

from wsss.methods.equivariance import cut, turned, turned_back
from wsss.single_stage.vit_pcm import Second
from wsss.single_stage.vit_pcm_views import two_views

SQUARE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def planes(picture: Any) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


def draw(seed: int, colour: float = 0.0, square: Any = SQUARE, **second: Any) -> dict[str, Any]:
    shown = Second(**({"side": 16, "crop": 16, "probability": 0.5} | second))
    return two_views(square, colour, shown, np.random.default_rng(seed))


def test_the_first_view_turned_back_is_the_image() -> None:
    views = [draw(seed) for seed in range(60)]
    assert len({tuple(view["turns"].tolist()) for view in views}) == 8
    for view in views:
        assert torch.equal(turned_back(planes(view["images"]), view["turns"][None]), planes(SQUARE))


def test_from_the_first_view_the_second_follows() -> None:
    """A crop of half the image is not resized, so that nothing but the way from view to view counts."""
    boxes = set()
    for seed in range(10):
        view = draw(seed, probability=1.0)
        image = turned_back(planes(view["images"]), view["turns"][None])
        part = cut(image, view["boxes"][None], 16)
        torch.testing.assert_close(
            turned(part, view["second_turns"][None]), planes(view["second"]), atol=0.01, rtol=0
        )
        boxes.add(tuple(view["boxes"].tolist()))
    assert len(boxes) > 5 and {box[2] for box in boxes} == {0.5}


def test_a_whole_view_shows_all_and_is_never_transposed() -> None:
    views = [draw(seed, probability=0.0) for seed in range(20)]
    assert all(view["boxes"].tolist() == [0, 0, 1] and view["second"].shape == (16, 16, 3) for view in views)
    assert {bool(view["second_turns"][0]) for view in views} == {False}
    assert len({tuple(view["second_turns"].tolist()) for view in views}) == 4


def test_colours_change_in_the_first_view_alone() -> None:
    plain, coloured = draw(3), draw(3, colour=0.2)
    assert not np.array_equal(plain["images"], coloured["images"])
    assert np.array_equal(plain["second"], coloured["second"])
    assert torch.equal(plain["turns"], coloured["turns"])
    assert coloured["images"].mean() == pytest.approx(SQUARE.mean(), rel=0.3)


def test_chance_is_the_generator_s() -> None:
    before = SQUARE.copy()
    first, second = draw(4, colour=0.2), draw(4, colour=0.2)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert np.array_equal(before, SQUARE)
