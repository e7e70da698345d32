"""Patch contrast: by hand, against loops over pairs, with empty sets, without a matrix of pairs."""

from functools import partial

import pytest
import torch

from tests.support.memory import Peak
from wsss.methods.contrast import patch_contrast

# one image, three patches, one class: two high patches at right angles, a low one opposite to the first
FEATURES = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]], dtype=torch.float64)
SCORES = torch.tensor([0.9, 0.9, 0.1], dtype=torch.float64).view(1, 3, 1)
PRESENT = torch.ones(1, 1)


@pytest.fixture
def batch(dtype, device):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(5, 14, 6, generator=generator, dtype=dtype)
    scores = torch.rand(5, 14, 4, generator=generator, dtype=dtype)
    scores[0, :, 1] = 0.5  # neither high nor low
    scores[1, :, 0] = 0.9  # no low patch
    scores[2, :, 2] = 0.1  # no high patch
    scores[3, :, 3] = 0.5
    scores[3, 6, 3] = 0.9  # exactly one high patch and no low one
    tags = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    return features.to(device), scores.to(device), tags.to(device)


def contrast_loop(features, scores, tags, high=0.85, low=0.15, lowest=False):
    """The loss pair by pair."""
    images = []
    for image in range(len(features)):
        classes = [
            class_loop(features[image], scores[image, :, index], high, low, lowest)
            for index in range(tags.shape[1])
            if tags[image, index]
        ]
        if classes:
            images.append(sum(classes) / len(classes))
    return sum(images) / len(images)


def class_loop(features, scores, high, low, lowest):
    values = scores.tolist()
    sure = [patch for patch, value in enumerate(values) if value > high]
    other = [patch for patch, value in enumerate(values) if value < low]
    if lowest:
        other = [values.index(min(values))] if min(values) <= high else []
    together = [1 - similarity(features[i], features[j]) for i in sure for j in sure if i != j]
    apart = [similarity(features[i], features[j]) for i in sure for j in other]
    zero = 0 * features.sum()
    return sum(together, zero) / max(len(together), 1) + sum(apart, zero) / max(len(apart), 1)


def similarity(a, b):
    return (1 + (a @ b) / (a.norm() * b.norm())) / 2


def test_by_hand():
    assert patch_contrast(FEATURES, SCORES, PRESENT).item() == pytest.approx(1 / 2 + 1 / 4, abs=1e-12)


def test_length_of_the_features_does_not_matter():
    longer = FEATURES * torch.tensor([3.0, 0.2, 7.0]).view(1, 3, 1)
    assert patch_contrast(longer, SCORES, PRESENT).item() == pytest.approx(3 / 4, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.9, 0.5], 1 / 2),  # no low patch
        ([0.5, 0.9, 0.1], 1 / 2),  # one high patch: no pair of its own, one with the low patch
        ([0.5, 0.9, 0.5], 0),  # one high patch and no low one
        ([0.5, 0.2, 0.1], 0),  # no high patch
        ([0.85, 0.9, 0.15], 0),  # the thresholds themselves are neither high nor low
        ([0.9, 0.9, 0.9], (1 / 2 + 1 + 1 / 2) / 3),  # all high
    ],
)
def test_empty_sets_by_hand(scores, expected):
    features = FEATURES.clone().requires_grad_()
    loss = patch_contrast(features, torch.tensor(scores, dtype=torch.float64).view(1, 3, 1), PRESENT)
    loss.backward()
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert torch.isfinite(features.grad).all()
    assert features.grad.any() == (expected > 0)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9, 0.9, 0.4], 3 / 4),  # low enough is only the threshold's word
        ([0.9, 0.3, 0.3], 1 / 2),  # the first of two equals: (0, 1)
        ([0.95, 0.9, 0.9], 2 / 3),  # all high, the lowest too
    ],
)
def test_the_single_lowest_patch_by_hand(scores, expected):
    scores = torch.tensor(scores, dtype=torch.float64).view(1, 3, 1)
    assert patch_contrast(FEATURES, scores, PRESENT, lowest=True).item() == pytest.approx(expected, abs=1e-12)


def test_alike_high_patches_opposite_to_the_low_ones_cost_nothing(dtype, device):
    features = torch.randn(8, generator=torch.Generator().manual_seed(3)).to(device, dtype).repeat(1, 576, 1)
    scores = torch.full((1, 576, 1), 0.9, device=device, dtype=dtype)
    features[:, 300:] *= -1
    scores[:, 300:] = 0.1
    loss = patch_contrast(features, scores, torch.ones(1, 1, device=device))
    assert loss.item() == pytest.approx(0, abs=100 * torch.finfo(dtype).eps)
    assert patch_contrast(features, 1 - scores * 0.1, torch.ones(1, 1, device=device)) > 0.4


@pytest.mark.parametrize("lowest", [False, True])
@pytest.mark.parametrize(("high", "low"), [(0.85, 0.15), (0.6, 0.4)])
def test_agrees_with_the_loop_over_pairs(batch, high, low, lowest):
    features, scores, tags = batch
    features.requires_grad_()
    loss = patch_contrast(features, scores, tags, high=high, low=low, lowest=lowest)
    assert loss.shape == () and loss.dtype == features.dtype and loss.device == features.device
    loss.backward()
    wanted = features.detach().cpu().double().requires_grad_()
    expected = contrast_loop(wanted, scores.cpu(), tags.cpu(), high, low, lowest)
    expected.backward()
    tolerance = 1e-12 if features.dtype == torch.float64 else 1e-6
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    torch.testing.assert_close(features.grad.cpu().double(), wanted.grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("lowest", [False, True])
def test_gradients(lowest):
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    scores = torch.rand(2, 9, 2, generator=generator)
    loss = partial(patch_contrast, scores=scores, tags=torch.tensor([[1, 1], [0, 1]]), high=0.6, low=0.4)
    assert torch.autograd.gradcheck(lambda values: loss(values, lowest=lowest), features)


def test_a_feature_without_length_has_no_direction():
    features = FEATURES.clone()
    features[0, 1] = 0
    features.requires_grad_()
    loss = patch_contrast(features, SCORES, PRESENT)
    loss.backward()
    assert loss.item() == pytest.approx(1 / 2 + (0 + 1 / 2) / 2, abs=1e-12)
    assert torch.isfinite(features.grad).all() and not features.grad[0, 1].any()


def test_scores_get_no_gradient():
    scores = SCORES.clone().requires_grad_()
    assert not patch_contrast(FEATURES, scores, PRESENT).requires_grad


def test_images_count_alike_whatever_the_number_of_their_classes():
    features, scores = FEATURES.repeat(2, 1, 1), SCORES.repeat(2, 1, 2)
    scores[1, :, 1] = torch.tensor([0.9, 0.9, 0.5])
    tags = torch.tensor([[1, 0], [1, 1]])
    expected = (3 / 4 + (3 / 4 + 1 / 2) / 2) / 2
    assert patch_contrast(features, scores, tags).item() == pytest.approx(expected, abs=1e-12)


def test_images_without_a_class_do_not_count():
    features, scores = FEATURES.repeat(3, 1, 1), SCORES.repeat(3, 1, 1)
    tags = torch.tensor([[0], [1], [0]])
    assert patch_contrast(features, scores, tags).item() == pytest.approx(3 / 4, abs=1e-12)


def test_a_batch_without_any_class_costs_nothing_and_can_be_learned_from():
    features = FEATURES.clone().requires_grad_()
    loss = patch_contrast(features, SCORES, torch.zeros(1, 1, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and not features.grad.any()


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_tags_of_any_type(batch, kind):
    features, scores, tags = batch
    assert torch.equal(
        patch_contrast(features, scores, tags.to(kind)), patch_contrast(features, scores, tags)
    )


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(half):
    features = torch.randn(1, 576, 64, generator=torch.Generator().manual_seed(5)).to(half)
    scores = torch.full((1, 576, 1), 0.9)
    expected = patch_contrast(features.double(), scores, PRESENT).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = patch_contrast(features, scores, PRESENT)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_holds_no_matrix_of_pairs():
    features, scores, tags = torch.randn(1, 3000, 4), torch.rand(1, 3000, 2), torch.ones(1, 2)
    with Peak(features, scores, tags) as peak:
        patch_contrast(features, scores, tags)
    assert peak.bytes < 10 * 3000 * 4 * 4


def test_refuses_shapes_that_do_not_match():
    features, scores, tags = torch.zeros(2, 9, 4), torch.zeros(2, 9, 3), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"features: expected \(B, N, D\), found \(9, 4\)"):
        patch_contrast(features[0], scores, tags)
    with pytest.raises(ValueError, match=r"scores: expected \(B, N, C\) = \(2, 9, C\), found \(2, 8, 3\)"):
        patch_contrast(features, scores[:, :8], tags)
    with pytest.raises(ValueError, match=r"scores: expected .* found \(2, 9\)"):
        patch_contrast(features, scores[..., 0], tags)
    with pytest.raises(ValueError, match=r"tags: expected \(B, C\) = \(2, 3\), found \(2, 4\)"):
        patch_contrast(features, scores, torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"tags: expected \(B, C\) = \(2, 3\), found \(1, 3\)"):
        patch_contrast(features, scores, tags[:1])
