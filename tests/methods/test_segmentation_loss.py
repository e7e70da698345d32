"""Losses on label maps: resizing as recorded, means over known pixels, empty halves."""

import pytest
import torch
from torch import nn

from tests.golden import assert_close_to_golden
from wsss.methods.segmentation_loss import (
    LOSSES,
    balanced_cross_entropy,
    cross_entropy,
    resize_labels,
    strongest_scale,
)


@pytest.mark.parametrize("scale", range(4))
def test_labels_resized_to_the_logits_are_the_recorded_ones(golden, scale):
    arrays = golden("deeplab")
    expected = torch.from_numpy(arrays[f"resized_labels{scale}"])
    resized = resize_labels(torch.from_numpy(arrays["labels"]), tuple(expected.shape[1:]))
    assert torch.equal(resized, expected)


def test_labels_reduced_to_a_quarter_are_the_recorded_ones(golden):
    arrays = golden("irn")
    reduced = resize_labels(torch.from_numpy(arrays["reduce_in"]), (16, 23))
    assert torch.equal(reduced, torch.from_numpy(arrays["reduce_quarter"]))


def test_resizing_takes_height_before_width():
    labels = torch.arange(8, dtype=torch.uint8).view(1, 2, 4)
    assert resize_labels(labels, (2, 2)).tolist() == [[[1, 3], [5, 7]]]
    assert resize_labels(labels, (4, 4)).tolist() == [[[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2]


def test_cross_entropy_is_the_mean_over_known_pixels(device, dtype):
    logits = torch.randn(2, 3, 4, 5, device=device, dtype=dtype)
    labels = torch.randint(0, 3, (2, 4, 5), device=device, dtype=torch.uint8)
    labels[0, :2] = 255
    expected = nn.CrossEntropyLoss(ignore_index=255)(logits, labels.long())
    assert cross_entropy(logits, labels).dtype == dtype
    torch.testing.assert_close(cross_entropy(logits, labels), expected)


def test_balanced_loss_weighs_both_halves_alike():
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 3.0]]).t().view(1, 2, 1, 4)
    labels = torch.tensor([[[0, 0, 255, 1]]])
    background, foreground = (torch.log1p(torch.exp(torch.tensor(-gap))) for gap in (2.0, 3.0))
    torch.testing.assert_close(balanced_cross_entropy(logits, labels), (background + foreground) / 2)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("label", [0, 1, 255])
def test_empty_halves_contribute_nothing(name, label):
    logits = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    loss = LOSSES[name](logits, torch.full((1, 3, 3), label, dtype=torch.uint8))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    assert (loss == 0) == (label == 255)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_the_losses(name):
    logits = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[[0, 1], [2, 255]], [[0, 0], [1, 2]]])
    assert torch.autograd.gradcheck(lambda values: LOSSES[name](values, labels), logits)


def test_labels_on_another_grid_are_refused():
    with pytest.raises(ValueError, match=r"expected .*\(1, 2, 3, 3\), found \(1, 3, 4\)"):
        cross_entropy(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 4, dtype=torch.uint8))


def test_strongest_scale_is_on_the_first_grid():
    first, second = torch.zeros(1, 2, 2, 3), torch.full((1, 2, 1, 1), 5.0)
    second[:, 1] = -5
    strongest = strongest_scale([first, second])
    assert_close_to_golden(strongest, torch.tensor([5.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 3), 0)
