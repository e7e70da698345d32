"""ToCo's contrast of patch tokens."""

import pytest
import torch
from torch import Tensor

from wsss.methods.token_contrast import token_contrast


def drawn(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens and labels of two images, some of them unknown, float64."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    return tokens, torch.tensor([[0, 1, 1, 255, 0, 3], [2, 2, 255, 0, 0, 2]])


def by_loops(tokens: Tensor, labels: Tensor) -> float:
    """The definition, pair by pair."""
    sums, counts = [0.0, 0.0], [1, 1]  # of one label, of different labels
    for image, named in zip(tokens, labels.tolist(), strict=True):
        for i, one in enumerate(named):
            for j, two in enumerate(named):
                if i != j and 255 not in (one, two):
                    cosine = torch.dot(image[i], image[j]) / (image[i].norm() * image[j].norm())
                    sums[one != two] += abs(float(cosine))
                    counts[one != two] += 1
    return (1 - sums[0] / counts[0] + sums[1] / counts[1]) / 2


def test_three_tokens_by_hand(dtype: torch.dtype, device: torch.device) -> None:
    tokens = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]], dtype=dtype, device=device)
    loss = token_contrast(tokens, torch.tensor([[0, 0, 1]], device=device))
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(1 / 6)


@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_one_by_one(seed: int) -> None:
    tokens, labels = drawn(seed)
    assert token_contrast(tokens, labels).item() == pytest.approx(by_loops(tokens, labels), abs=1e-12)


def test_no_pair_gives_a_half_and_no_gradient() -> None:
    tokens, labels = drawn()
    loss = token_contrast(tokens.requires_grad_(), torch.full_like(labels, 255))
    loss.backward()
    assert loss.item() == 0.5 and not tokens.grad.any()  # type: ignore[union-attr]


def test_collinear_tokens_give_a_half_and_groups_that_match_their_labels_nearly_nothing() -> None:
    labels = torch.arange(2).repeat_interleave(50)[None]
    same = torch.ones(1, 100, 2, dtype=torch.float64)
    same[:, ::2] *= -3  # opposite ones count as alike
    assert token_contrast(same, labels).item() == pytest.approx(0.5, abs=1e-3)
    groups = torch.eye(2, dtype=torch.float64)[labels]
    assert 0 < token_contrast(groups, labels).item() < 1e-3


def test_lengths_signs_and_the_order_of_tokens_change_nothing() -> None:
    tokens, labels = drawn()
    whole = token_contrast(tokens, labels)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    scaled = tokens * torch.tensor([1.0, -2.0, 0.1, 5.0, -1.0, 3.0])[:, None]
    torch.testing.assert_close(token_contrast(scaled[:, order], labels[:, order]), whole)


def test_gradients() -> None:
    tokens, labels = drawn()
    assert torch.autograd.gradcheck(lambda x: token_contrast(x, labels), tokens.requires_grad_())


def test_shapes_that_do_not_match_are_refused() -> None:
    tokens, labels = drawn()
    with pytest.raises(
        ValueError, match=r"expected \(B, N, D\) and \(B, N\), found \(2, 6, 4\) and \(2, 5\)"
    ):
        token_contrast(tokens, labels[:, :5])
