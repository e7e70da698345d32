"""ViT-PCM's equivariance of patch scores."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from wsss.methods.equivariance import (
    STEPS,
    cut,
    sharpened,
    soft_cross_entropy,
    tiled,
    turned,
    turned_back,
    untiled,
)

ALL_TURNS = torch.tensor(list(itertools.product((False, True), repeat=3)))
SQUARE = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


def scores(*shape: int) -> Tensor:
    """Probabilities (B, C+1, h, w), float64."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).softmax(1)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ((False, False, False), [[1, 2], [3, 4]]),
        ((True, False, False), [[1, 3], [2, 4]]),
        ((False, True, False), [[3, 4], [1, 2]]),
        ((False, False, True), [[2, 1], [4, 3]]),
        ((True, True, False), [[2, 4], [1, 3]]),  # a quarter to the left: transposed first
        ((True, True, True), [[4, 2], [3, 1]]),
    ],
)
def test_turns_of_four_patches_by_hand(turns: tuple[bool, ...], expected: list[list[int]]) -> None:
    assert turned(SQUARE[None, None], torch.tensor([turns]))[0, 0].tolist() == expected


def test_undoing_a_turn_brings_each_patch_back_to_its_place(dtype: torch.dtype, device: torch.device) -> None:
    squares = scores(8, 3, 2, 2).to(device, dtype)
    moved = turned(squares, ALL_TURNS.to(device))
    assert torch.equal(turned_back(moved, ALL_TURNS.to(device)), squares)
    assert (
        len({tuple(square.flatten().tolist()) for square in turned(SQUARE.expand(8, 1, 2, 2), ALL_TURNS)})
        == 8
    )


def test_a_box_is_cut_where_it_says() -> None:
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert torch.equal(cut(maps, torch.tensor([[0.0, 0.0, 1.0]]), 4), maps)
    corner = cut(maps, torch.tensor([[0.25, 0.5, 0.5]]), 2)  # one row down, two columns right
    torch.testing.assert_close(corner[0, 0], torch.tensor([[6.0, 7.0], [10.0, 11.0]]))
    halved = cut(maps, torch.tensor([[0.0, 0.0, 1.0]]), 2)  # each the mean of its four
    torch.testing.assert_close(halved[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))


def test_tiling_and_cutting_apart_changes_nothing() -> None:
    squares = scores(8, 3, 2, 2)
    whole = tiled(squares, 2)
    assert whole.shape == (2, 3, 4, 4)
    assert torch.equal(whole[0, :, :2, 2:], squares[1]) and torch.equal(whole[0, :, 2:, :2], squares[2])
    assert torch.equal(untiled(whole, 2), squares)
    assert torch.equal(tiled(squares, 1), squares)


def test_one_tag_leaves_it_and_the_background() -> None:
    target = sharpened(scores(1, 4, 3, 3), torch.tensor([[0.0, 1.0, 0.0]]))[0]
    assert not target[[1, 3]].any() and (target[[0, 2]] > 0).all()
    torch.testing.assert_close(target.sum(0), torch.ones(3, 3, dtype=torch.float64))


def test_a_target_by_hand() -> None:
    """Background 0.2 and 0.4, the class 0.6 and 0.3: by their maxima 0.5 and 1, 1 and 0.5."""
    patches = torch.tensor([[0.2, 0.4], [0.6, 0.3], [0.2, 0.3]]).reshape(1, 3, 1, 2)
    target = sharpened(patches, torch.tensor([[1.0, 0.0]]))[0, :, 0]
    torch.testing.assert_close(target, torch.tensor([[1 / 3, 2 / 3], [2 / 3, 1 / 3], [0.0, 0.0]]))


def test_a_prediction_that_is_the_target_costs_its_entropy() -> None:
    target = scores(2, 3, 2, 2)
    entropy = -(target * target.log()).sum(1).mean()
    torch.testing.assert_close(soft_cross_entropy(target, target), entropy)
    assert soft_cross_entropy(scores(2, 3, 2, 2).flip(1), target) > entropy


def test_the_loss_is_that_of_a_loop() -> None:
    """Two images, all of float64, and the target made patch by patch."""
    seen, predicted, tags = scores(2, 3, 2, 3), scores(2, 3, 2, 3).flip(3), [[1, 0], [1, 1]]
    terms = []
    for image, shown in enumerate(tags):
        present = [0, *(1 + c for c, tag in enumerate(shown) if tag)]
        highest = {c: max(seen[image, c].flatten().tolist()) for c in present}
        for row, column in itertools.product(range(2), range(3)):
            relative = {c: seen[image, c, row, column].item() / highest[c] for c in present}
            total = sum(relative.values())
            terms.append(
                -sum(
                    v / total * math.log(predicted[image, c, row, column].item()) for c, v in relative.items()
                )
            )
    found = soft_cross_entropy(predicted, sharpened(seen, torch.tensor(tags).double()))
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_only_the_prediction_has_a_gradient_and_it_is_exact() -> None:
    seen = scores(1, 3, 2, 2).requires_grad_()
    target = sharpened(seen, torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    assert not target.requires_grad
    predicted = scores(1, 3, 2, 2).flip(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: soft_cross_entropy(value, target), predicted)


def test_certain_scores_cost_a_finite_amount() -> None:
    predicted = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1).requires_grad_()
    target = sharpened(torch.zeros(1, 2, 1, 1), torch.ones(1, 1))  # nothing is seen: no target
    assert not target.any()
    loss = soft_cross_entropy(predicted, torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1))
    loss.backward()
    assert loss.isfinite() and predicted.grad is not None and predicted.grad.isfinite().all()


def test_what_does_not_fit_is_refused() -> None:
    square, turns = torch.zeros(1, 2, 2, 2), torch.zeros(1, len(STEPS), dtype=torch.bool)
    with pytest.raises(ValueError, match=r"squares: expected \(B, C, n, n\), found \(1, 2, 2, 3\)"):
        turned(torch.zeros(1, 2, 2, 3), turns)
    with pytest.raises(ValueError, match=r"turns: expected \(1, 3\), found \(2, 3\)"):
        turned_back(square, turns.expand(2, -1))
    with pytest.raises(ValueError, match=r"batch: expected a multiple of the 4 views .* found 3"):
        tiled(square.expand(3, -1, -1, -1), 2)
    with pytest.raises(ValueError, match=r"tags: expected \(B, C\) = \(1, 1\), found \(1, 2\)"):
        sharpened(square, torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"target: expected \(1, 2, 2, 2\), found \(1, 2, 1, 1\)"):
        soft_cross_entropy(square, square[..., :1, :1])
