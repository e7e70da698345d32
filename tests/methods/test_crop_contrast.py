"""ToCo's contrast of an image with its parts."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss.methods.crop_contrast import are_background, crop_contrast, cut_squares, draw_corners, region_codes

LABELS = torch.tensor([[[0, 0, 255, 3], [0, 0, 255, 3], [0, 0, 0, 3], [0, 0, 0, 3]]])


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Codes of parts and wholes of two images, and which parts are background, float64."""
    generator = torch.Generator().manual_seed(0)
    parts, wholes = (torch.randn(2, count, 3, generator=generator, dtype=torch.float64) for count in (4, 2))
    negative = torch.tensor([[False, True, False, True], [False, False, False, False]])
    return F.normalize(parts, dim=2), F.normalize(wholes, dim=2), negative


def by_loops(parts: Tensor, wholes: Tensor, negative: Tensor, temperature: float) -> float:
    """The definition, term by term."""
    losses = []
    for seen, views, marks in zip(parts, wholes, negative.tolist(), strict=True):
        for whole in views:
            e = [math.exp(float(whole @ part) / temperature) for part in seen]
            background = sum(value for value, mark in zip(e, marks, strict=True) if mark)
            others = [value for value, mark in zip(e, marks, strict=True) if not mark]
            terms = [-math.log(value / (value + background)) for value in others]
            losses.append((sum(terms) + math.log(1 + background)) / len(others))
    return sum(losses) / len(losses)


def test_regions_are_told_by_codes() -> None:
    assert region_codes(LABELS)[0, 0].tolist() == [0, 0, 1, 2]


def test_squares_whose_centre_is_an_object_come_last() -> None:
    """By hand: of 3 x 3 places of a square of 2 pixels, the last column's centres are objects."""
    codes = region_codes(LABELS)
    chance = torch.tensor([[[0.1, 0.2, 0.9], [0.3, 0.8, 0.99], [0.4, 0.5, 0.6]]])
    corners = draw_corners(codes, chance, 7, 2)[0].tolist()
    assert corners == [[1, 1], [2, 1], [2, 0], [1, 0], [0, 1], [0, 0], [1, 2]]


def test_a_square_is_background_by_its_mean_code() -> None:
    """By hand, of 2 x 2 pixels: codes 0, 0, 0, 0; then 0, 1, 0, 1; then 1, 2, 0, 2."""
    codes = region_codes(LABELS)
    corners = torch.tensor([[[0, 0], [0, 1], [1, 2]]])
    assert are_background(codes, corners, 2, 0.2).tolist() == [[True, False, False]]
    assert are_background(codes, corners, 2, 0.5).tolist() == [[True, True, False]]


def test_squares_are_cut_where_their_corners_are() -> None:
    images = torch.arange(2 * 3 * 5 * 6).reshape(2, 3, 5, 6)
    corners = torch.tensor([[[0, 0], [2, 3]], [[1, 1], [3, 4]]])
    squares = cut_squares(images, corners, 2)
    assert squares.shape == (2, 2, 3, 2, 2)
    for b in range(2):
        for p, (top, left) in enumerate(corners[b].tolist()):
            assert torch.equal(squares[b, p], images[b, :, top : top + 2, left : left + 2])


def test_two_parts_by_hand(dtype: torch.dtype, device: torch.device) -> None:
    parts = torch.eye(2, dtype=dtype, device=device)[None]
    negative = torch.tensor([[False, True]], device=device)
    loss = crop_contrast(parts, parts[:, :1], negative, 1.0)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(math.log((math.e + 1) / math.e) + math.log(2))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_all_terms_one_by_one(temperature: float) -> None:
    found = crop_contrast(*drawn(), temperature)
    assert found.item() == pytest.approx(by_loops(*drawn(), temperature), abs=1e-12)


def test_without_background_there_is_nothing_to_learn() -> None:
    parts, wholes, negative = drawn()
    loss = crop_contrast(parts.requires_grad_(), wholes, torch.zeros_like(negative), 0.5)
    loss.backward()
    assert loss.item() == 0 and not parts.grad.any()  # type: ignore[union-attr]


def test_gradients_reach_the_parts_and_not_the_wholes() -> None:
    parts, wholes, negative = drawn()
    assert torch.autograd.gradcheck(lambda x: crop_contrast(x, wholes, negative, 0.5), parts.requires_grad_())
    crop_contrast(parts, wholes.requires_grad_(), negative, 0.5).backward()
    assert wholes.grad is None


def test_what_does_not_match_is_refused() -> None:
    parts, wholes, negative = drawn()
    with pytest.raises(ValueError, match=r"expected \(B, P, E\), \(B, G, E\) and \(B, P\)"):
        crop_contrast(parts, wholes[:, :, :2], negative, 0.5)
    codes = region_codes(LABELS)
    with pytest.raises(ValueError, match=r"chance: expected .* = \(1, 3, 3\)"):
        draw_corners(codes, torch.zeros(1, 2, 3), 1, 2)
    with pytest.raises(ValueError, match="count: expected at most the 9 places of a square, found 10"):
        draw_corners(codes, torch.zeros(1, 3, 3), 10, 2)
