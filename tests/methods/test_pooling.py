"""Pooling of patch scores: by hand, against loops, among equals, with few patches."""

import pytest
import torch

from wsss.methods.pooling import POOLINGS, adaptive_k_pool, average_pool, max_pool, pool, top_k_pool

HAND = torch.tensor([0.10, 0.48, 0.50, 0.40, 0.46], dtype=torch.float64).view(1, 5, 1)


@pytest.fixture
def scores(dtype, device):
    generator = torch.Generator().manual_seed(0)
    return (3 * torch.randn(4, 30, 7, generator=generator, dtype=dtype)).softmax(2).to(device)


def adaptive_loop(scores, k, ratio, criterion):
    """Algorithm 1 as it is written, for one class of one image; also the weight of each patch."""
    order = sorted(range(len(scores)), key=lambda patch: -scores[patch])
    taken = min(k, len(order))
    highest = scores[order[0]]
    floor = ratio * highest if criterion == "ratio" else highest - (1 - ratio)
    while taken < len(order) and scores[order[taken]] >= floor:
        taken += 1
    weights = [1 / taken if patch in order[:taken] else 0.0 for patch in range(len(order))]
    return sum(scores[patch] for patch in order[:taken]) / taken, weights


def test_adaptive_k_by_hand():
    scores = HAND.clone().requires_grad_()
    pooled = adaptive_k_pool(scores, k=2, ratio=0.9)
    torch.testing.assert_close(pooled, torch.tensor([[0.48]]).double())
    pooled.backward()
    expected = torch.tensor([0, 1, 1, 0, 1]).double() / 3
    torch.testing.assert_close(scores.grad.flatten(), expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "average"}, 0.388),
        ({"kind": "max", "k": 3}, 0.50),
        ({"kind": "top_k", "k": 2}, 0.49),
        ({"kind": "top_k"}, 0.388),
        ({"kind": "adaptive_k", "k": 2, "ratio": 0.95}, 0.49),
        ({"kind": "adaptive_k", "k": 2, "ratio": 0.9, "criterion": "ratio"}, 0.48),
        ({"kind": "adaptive_k", "k": 2, "ratio": 0.89, "criterion": "difference"}, 0.46),
    ],
)
def test_pooling_by_name_by_hand(settings, expected):
    torch.testing.assert_close(pool(HAND, **settings), torch.tensor([[expected]]).double())


@pytest.mark.parametrize("criterion", ["ratio", "difference"])
@pytest.mark.parametrize(("k", "ratio"), [(6, 0.9), (1, 0.5), (3, 0.99), (40, 0.9), (2, 0.0)])
def test_agrees_with_the_loop(scores, k, ratio, criterion):
    scores.requires_grad_()
    pooled = adaptive_k_pool(scores, k, ratio, criterion=criterion)
    assert pooled.shape == (4, 7) and pooled.dtype == scores.dtype and pooled.device == scores.device
    incoming = torch.arange(1, 29).view(4, 7).to(pooled)
    pooled.backward(incoming)
    for image in range(4):
        for index in range(7):
            column = scores[image, :, index].detach().double().tolist()
            expected, weights = adaptive_loop(column, k, ratio, criterion)
            torch.testing.assert_close(pooled[image, index].item(), expected, rtol=1e-6, atol=0)
            found = (scores.grad[image, :, index] / incoming[image, index]).double().cpu()
            torch.testing.assert_close(found, torch.tensor(weights).double(), rtol=1e-6, atol=0)


def test_the_loop_is_tested_where_k_grows_and_where_it_does_not():
    generator = torch.Generator().manual_seed(0)
    scores = (3 * torch.randn(4, 30, 7, generator=generator)).softmax(2)
    near = (scores >= 0.5 * scores.amax(1, keepdim=True)).sum(1)
    assert (near > 6).any() and (near < 6).any()


@pytest.mark.parametrize("kind", POOLINGS)
def test_gradients(kind):
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(2, 9, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: pool(values, kind=kind, k=2), scores)


@pytest.mark.parametrize("kind", POOLINGS)
def test_equals_share_alike_whatever_their_order(kind):
    # two patches at 0.8 and three at 0.5; with k = 4 two places are left for the three
    scores = torch.tensor([0.5, 0.8, 0.5, 0.1, 0.8, 0.5]).double().view(1, 6, 1).requires_grad_()
    value = pool(scores, kind=kind, k=4)
    value.backward()
    expected = {
        "average": (19.2 / 6 / 6, [1 / 6] * 6),
        "max": (0.8, [0, 1 / 2, 0, 0, 1 / 2, 0]),
        "top_k": (0.65, [1 / 6, 1 / 4, 1 / 6, 0, 1 / 4, 1 / 6]),
        "adaptive_k": (0.65, [1 / 6, 1 / 4, 1 / 6, 0, 1 / 4, 1 / 6]),
    }[kind]
    torch.testing.assert_close(value.item(), expected[0])
    torch.testing.assert_close(scores.grad.flatten(), torch.tensor(expected[1]).double())


def test_all_patches_alike_all_count():
    scores = torch.full((1, 20, 2), 0.3, dtype=torch.float64, requires_grad=True)
    adaptive_k_pool(scores).sum().backward()
    torch.testing.assert_close(scores.grad, torch.full_like(scores, 1 / 20))


def test_the_score_at_the_ratio_itself_is_near():
    scores = torch.tensor([1.0, 0.5, 0.25]).view(1, 3, 1)
    assert adaptive_k_pool(scores, 1, 0.5).item() == 0.75
    assert adaptive_k_pool(scores, 1, 0.5, criterion="difference").item() == 0.75


@pytest.mark.parametrize("patches", [1, 5])
def test_fewer_patches_than_k_are_averaged(scores, patches):
    few = scores[:, :patches]
    for pooled in (top_k_pool(few, 6), adaptive_k_pool(few), adaptive_k_pool(few, k=6, ratio=0.9)):
        torch.testing.assert_close(pooled, few.mean(1))


def test_the_rivals_are_limits_of_adaptive_k(scores):
    torch.testing.assert_close(adaptive_k_pool(scores, 1, 1.0), max_pool(scores))
    torch.testing.assert_close(adaptive_k_pool(scores, 6, 1.0), top_k_pool(scores, 6))
    torch.testing.assert_close(adaptive_k_pool(scores, 6, 0.0), average_pool(scores))
    torch.testing.assert_close(top_k_pool(scores, 6), scores.sort(dim=1).values[:, -6:].mean(1))


def test_the_order_of_patches_does_not_matter(scores):
    shuffled = scores[:, torch.randperm(30, generator=torch.Generator().manual_seed(2))]
    torch.testing.assert_close(adaptive_k_pool(shuffled), adaptive_k_pool(scores))


def test_nan_is_not_hidden(scores):
    scores[1, 3, 2] = torch.nan
    for kind in POOLINGS:
        assert pool(scores, kind=kind).isnan().nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("shape", [(4, 3), (1, 2, 3, 4), (2, 0, 3)])
def test_refuses_other_shapes(kind, shape):
    with pytest.raises(ValueError, match=r"scores: expected \(B, N, C\) with N > 0, found \(") as caught:
        POOLINGS[kind](torch.zeros(shape))
    assert str(caught.value).endswith(f"found {shape}")


def test_refuses_other_settings():
    with pytest.raises(ValueError, match="k: expected at least 1, found 0"):
        top_k_pool(HAND, 0)
    with pytest.raises(ValueError, match="k: expected at least 1, found -2"):
        adaptive_k_pool(HAND, -2)
    with pytest.raises(
        ValueError, match=r"criterion: expected one of \['difference', 'ratio'\], found 'near'"
    ):
        adaptive_k_pool(HAND, criterion="near")
    with pytest.raises(ValueError, match=r"kind: expected one of .*'top_k'.*, found 'median'"):
        pool(HAND, kind="median")
