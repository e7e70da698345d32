"""ReCAM's mathematics: cases by hand, the loop that its einsum replaces, gradients and refusals."""

import math

import pytest
import torch
from torch import Tensor

from wsss.methods.recam import EPSILON, class_features, combine, present_class_loss


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features (3, 5, 4, 6), head (4, 5), second head (4, 5) and tags (3, 4), the last image's all 0."""
    generator = torch.Generator().manual_seed(seed)
    features, first, second = (
        torch.randn(*size, generator=generator, dtype=torch.float64).requires_grad_()
        for size in ((3, 5, 4, 6), (4, 5), (4, 5))
    )
    return features, first, second, torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]).double()


def loss_of(features: Tensor, first: Tensor, second: Tensor, tags: Tensor) -> Tensor:
    maps = torch.einsum("cd,bdhw->bchw", first, features)
    return present_class_loss(class_features(features, maps) @ second.t(), tags)


def test_class_features_are_the_loop_over_all_positions(device: torch.device) -> None:
    features, first, _, _ = (tensor.detach().to(device) for tensor in batch())
    maps = torch.einsum("cd,bdhw->bchw", first, features)
    found = class_features(features, maps)
    assert found.shape == (3, 4, 5)
    for image in range(3):
        for label in range(4):
            positive = maps[image, label].clamp(min=0)
            weights = positive / (positive.max() + EPSILON)
            by_loop = sum(weights[y, x] * features[image, :, y, x] for y in range(4) for x in range(6))
            torch.testing.assert_close(found[image, label], by_loop / 24)


@pytest.mark.parametrize("tag", [0, 1])
def test_two_classes_one_channel_one_position(tag: int, dtype: torch.dtype) -> None:
    """f = 1: M = w / (w + 1e-5), u = w' M, the loss log(1 + exp(u_other - u_k))."""
    weights, second = torch.tensor([0.5, 2.0], dtype=dtype), torch.tensor([[1.5], [-0.25]], dtype=dtype)
    features = torch.ones(1, 1, 1, 1, dtype=dtype)
    maps = weights.view(1, 2, 1, 1)
    mask = weights[tag] / (weights[tag] + 1e-5)
    torch.testing.assert_close(class_features(features, maps)[0, tag, 0], mask)
    tags = torch.eye(2, dtype=dtype)[tag : tag + 1]
    found = present_class_loss(class_features(features, maps) @ second.t(), tags)
    u = (second[:, 0] * mask).tolist()
    assert found.item() == pytest.approx(math.log(1 + math.exp(u[1 - tag] - u[tag])), rel=1e-6)


def test_an_image_without_classes_adds_nothing_and_counts() -> None:
    features, first, second, tags = batch()
    all_three = loss_of(features, first, second, tags)
    two = loss_of(features[:2], first, second, tags[:2])
    torch.testing.assert_close(all_three * 3, two * 2)
    assert loss_of(features[2:], first, second, tags[2:]).item() == 0


def test_an_image_counts_once_whatever_its_classes() -> None:
    logits = torch.zeros(2, 4, 4)
    tags = torch.tensor([[1.0, 1, 1, 0], [0, 0, 0, 1]])
    assert present_class_loss(logits, tags).item() == pytest.approx(math.log(4))


def test_gradients_reach_features_and_both_heads() -> None:
    """Through the maps and their maximum, by finite differences."""
    features, first, second, tags = batch()
    assert torch.autograd.gradcheck(lambda *inputs: loss_of(*inputs, tags), (features, first, second))


def test_absent_classes_teach_the_first_head_nothing() -> None:
    features, first, second, tags = batch()
    loss_of(features, first, second, tags).backward()
    assert first.grad is not None and second.grad is not None
    assert not first.grad[3].any() and first.grad[:3].any(1).all()
    assert second.grad.any(1).all()  # the softmax runs over all classes


def test_a_map_without_positive_evidence_sees_no_features() -> None:
    features = torch.randn(1, 3, 2, 2)
    assert not class_features(features, torch.full((1, 1, 2, 2), -1.0)).any()


@pytest.mark.parametrize(
    ("how", "expected"),
    [("product", [3.0, 2.0]), ("first", [1.0, -1.0]), ("second", [3.0, -2.0]), ("sum", [4.0, -3.0])],
)
def test_combinations_by_hand(how: str, expected: list[float]) -> None:
    """Two negative weights multiply to positive evidence."""
    assert combine(torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, -2.0]]), how).tolist() == [expected]


def test_ones_as_second_weights_leave_the_maps_as_they_are() -> None:
    first = torch.randn(4, 5)
    assert torch.equal(combine(first, torch.ones(4, 5), "product"), first)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, D, h, w\) and \(B, C, h, w\), found \(2, 3, 4, 4\)"):
        class_features(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 3))
    with pytest.raises(ValueError, match=r"expected \(B, C, C\) and \(B, C\), found \(2, 3, 2\)"):
        present_class_loss(torch.zeros(2, 3, 2), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"expected one of .*'product'.*, found 'mean'"):
        combine(torch.zeros(1, 1), torch.zeros(1, 1), "mean")
    with pytest.raises(ValueError, match=r"expected one shape, found \(1, 2\) and \(2, 1\)"):
        combine(torch.zeros(1, 2), torch.zeros(2, 1), "sum")
