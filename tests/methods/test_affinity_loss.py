"""Losses over pixel pairs: recorded pair masks, hand-worked cases, gradients, empty kinds."""

import math

import numpy as np
import pytest
import torch

from tests.golden import assert_close_to_golden
from wsss.methods.affinity import search_paths
from wsss.methods.affinity_loss import (
    affinity_loss,
    affinity_terms,
    displacement_loss,
    displacement_terms,
    irn_losses,
    pair_labels,
)


def _in_recorded_order(values: torch.Tensor, destinations: np.ndarray, radius: int) -> torch.Tensor:
    """Reorder the directions, dimension -2, as the recorded arrays list them."""
    own = [tuple(direction) for direction in search_paths(radius).directions.tolist()]
    return values[..., [own.index(tuple(direction)) for direction in destinations.tolist()], :]


@pytest.mark.parametrize("radius", [5, 10])
def test_pair_masks_are_the_recorded_ones(golden, radius):
    arrays = golden("irn")
    pairs = pair_labels(torch.from_numpy(arrays[f"r{radius}_seglabel"])[None], radius)
    for name, mask in zip(("bgpos", "fgpos", "neg"), pairs, strict=True):
        ordered = _in_recorded_order(mask[0], arrays[f"r{radius}_search_dst"], radius)
        assert np.array_equal(ordered.numpy(), arrays[f"r{radius}_{name}"])


def _halves(value: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Constant boundary ``value`` on a 4x6 grid whose left half is background, the right class 3."""
    labels = torch.zeros(1, 4, 6, dtype=torch.uint8)
    labels[..., 3:] = 3
    return torch.full((1, 1, 4, 6), math.log(value / (1 - value)), dtype=torch.float64), labels


def test_constant_boundaries_give_the_hand_worked_loss():
    logits, labels = _halves(0.25)
    pairs = pair_labels(labels, 2)
    terms = affinity_terms(logits, pairs, 2)
    for term, mask, boundary in zip(terms, pairs, (0.75, 0.75, 0.25), strict=True):
        assert mask.any()
        expected = -math.log(boundary + 1e-5) * mask.sum() / (mask.sum() + 1e-5)
        torch.testing.assert_close(term, expected.double(), rtol=1e-7, atol=0)
    expected = (-math.log(0.75 + 1e-5) - math.log(0.25 + 1e-5)) / 2
    torch.testing.assert_close(affinity_loss(logits, labels, 2).item(), expected, rtol=1e-5, atol=0)


def test_displacements_to_one_centre_cost_nothing():
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    centre = torch.stack([2 - y, 4 - x])[None]
    foreground, background = torch.ones(1, 6, 8, dtype=torch.uint8), torch.zeros(1, 6, 8, dtype=torch.uint8)
    assert displacement_loss(centre, foreground, 3).item() == 0
    assert displacement_loss(torch.zeros(1, 2, 6, 8), background, 3).item() == 0
    assert displacement_loss(centre, background, 3) > 0 and displacement_loss(centre * 0, foreground, 3) > 0


@pytest.mark.parametrize("label", [0, 1, 255])
def test_kinds_without_pairs_contribute_nothing(label):
    labels = torch.full((2, 6, 8), label, dtype=torch.uint8)
    logits = torch.randn(2, 1, 6, 8, requires_grad=True)
    displacement = torch.randn(2, 2, 6, 8, requires_grad=True)
    losses = irn_losses(logits, displacement, labels, 3)
    sum(losses.values()).backward()
    assert all(torch.isfinite(value.grad).all() for value in (logits, displacement))
    pairs = pair_labels(labels, 3)
    terms = (*affinity_terms(logits, pairs, 3), *displacement_terms(displacement, pairs, 3))
    masks = (*pairs, pairs.background, pairs.foreground)
    assert [bool(term != 0) for term in terms] == [bool(mask.any()) for mask in masks]


def test_gradients_of_the_losses():
    labels = torch.randint(0, 3, (2, 5, 7), generator=torch.Generator().manual_seed(0))
    labels[0, 0] = 255
    logits = torch.randn(2, 1, 5, 7, dtype=torch.float64, requires_grad=True)
    displacement = torch.randn(2, 2, 5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: affinity_loss(values, labels, 3), logits)
    assert torch.autograd.gradcheck(lambda values: displacement_loss(values, labels, 3), displacement)


def test_the_batch_is_one_set_of_pairs(device, dtype):
    labels = torch.randint(0, 3, (2, 8, 10), device=device, dtype=torch.uint8)
    logits = torch.randn(2, 1, 8, 10, device=device, dtype=dtype)
    pairs = pair_labels(labels, 4)
    single = [affinity_terms(logits[i : i + 1], pair_labels(labels[i : i + 1], 4), 4) for i in range(2)]
    counts = pairs.different.sum((1, 2)).to(dtype)
    expected = sum(count * term.different for count, term in zip(counts, single, strict=True)) / counts.sum()
    found = affinity_terms(logits, pairs, 4).different
    assert found.dtype == dtype and found.device.type == device.type
    torch.testing.assert_close(found, expected)


def test_half_precision_logits_are_compared_in_single_precision():
    logits, labels = _halves(0.25)
    saturated = torch.full_like(logits, -30, dtype=torch.float16)
    assert torch.isfinite(affinity_loss(saturated, labels, 2))


def test_labels_are_reduced_to_the_grid_of_the_logits():
    logits, labels = _halves(0.25)
    large = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    losses = irn_losses(logits, None, large, 2)
    assert list(losses) == ["loss_affinity"]
    assert_close_to_golden(losses["loss_affinity"], affinity_loss(logits, labels, 2), 0)


def test_wrong_shapes_are_refused():
    labels = torch.zeros(1, 8, 10, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"found \(1, 1, 8, 9\) and \(1, 8, 10\)"):
        affinity_loss(torch.zeros(1, 1, 8, 9), labels, 3)
    with pytest.raises(ValueError, match=r"expected values \(B, 2, h, w\)"):
        displacement_loss(torch.zeros(1, 1, 8, 10), labels, 3)
    with pytest.raises(ValueError, match="radius 10"):
        affinity_loss(torch.zeros(1, 1, 8, 10), labels, 10)


@pytest.mark.parametrize("label", [0, 1])
def test_half_precision_counts_any_number_of_pairs(label):
    labels = torch.full((1, 48, 48), label, dtype=torch.uint8)
    displacement = torch.randn(1, 2, 48, 48, generator=torch.Generator().manual_seed(0)).half()
    pairs = pair_labels(labels, 5)
    assert 2 * sum(int(kind.sum()) for kind in pairs) > torch.finfo(torch.float16).max
    half = displacement_terms(displacement, pairs, 5)
    for found, expected in zip(half, displacement_terms(displacement.float(), pairs, 5), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert sum(half) > 0.5
