"""AdvCAM's climb on linear toy networks, where every step is known."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.methods.climbing import Climb, ascent, climb, objective, pair_map, positive_weights

WEIGHTS = torch.tensor([[1.0, -2.0, 0.5], [0.5, 1.0, 1.0], [-1.0, 0.5, 2.0]], dtype=torch.float64)  # (C, 3)
POSITIVE = positive_weights(WEIGHTS)


def linear(weights: Tensor = WEIGHTS) -> Callable[[Tensor], Tensor]:
    """A cell a pixel, z = w x: relu alone is not linear in the image."""
    return lambda images: F.conv2d(images, weights[:, :, None, None])


def pictures(count: int = 2, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 4, 6, generator=generator, dtype=torch.float64)


def test_one_step_is_cam_where_both_are_equally_active() -> None:
    """One pixel a cell: the mirror image has as many active cells, and its map flipped back is the map."""
    images, classes = pictures(), torch.tensor([1, 2])
    found = climb(linear(), images, classes, POSITIVE, Climb(steps=1))
    cam = linear()(images)[torch.arange(2), classes].relu()
    torch.testing.assert_close(found, cam / POSITIVE[classes, None, None])


def test_the_map_of_a_pair_by_hand() -> None:
    """n = 1 and 3 of 3 cells, two positive weights: (1 Z_0 + 3 Z_1*) / (2 (1 + 3))."""
    found = torch.tensor([[[[4.0, -1.0, 0.0]], [[3.0, 2.0, 1.0]]]])[:, :, None]  # (1, 2, 1, 1, 3)
    result = pair_map(found, torch.tensor([0]), torch.tensor([2]))
    torch.testing.assert_close(result, torch.tensor([[[(4 + 3 * 1) / 8, 3 * 2 / 8, 3 * 3 / 8]]]))


def test_nothing_active_gives_zeros() -> None:
    found = torch.full((2, 2, 3, 4, 4), -1.0)
    assert not pair_map(found, torch.tensor([0, 1]), torch.tensor([1, 1, 1])).any()


def test_positive_weights_are_counted() -> None:
    assert positive_weights(WEIGHTS).tolist() == [2, 3, 2]
    assert positive_weights(torch.tensor([[-1.0, 0.0]])[:, :, None, None]).tolist() == [
        1
    ]  # never divide by 0


def test_without_a_step_all_maps_are_equal() -> None:
    maps = list(ascent(linear(), pictures(), torch.tensor([0, 1]), POSITIVE, Climb(steps=4, step=0.0)))
    assert len(maps) == 4
    assert all(torch.equal(found, maps[0]) for found in maps)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_sum_is_of_all_steps_the_image_as_it_is_first(steps: int) -> None:
    calls: list[Tensor] = []

    def network(images: Tensor) -> Tensor:
        calls.append(images.detach().clone())
        return linear()(images)

    arguments = (pictures(), torch.tensor([0, 1]), POSITIVE, Climb(steps=steps))
    found = climb(network, *arguments)
    assert len(calls) == steps
    assert torch.equal(calls[0].unflatten(0, (2, 2))[:, 0], pictures())
    torch.testing.assert_close(found, torch.stack(list(ascent(linear(), *arguments))).sum(0))


def test_every_pixel_of_a_linear_network_moves_along_the_weights_until_the_clip() -> None:
    """One class, positive evidence everywhere, weight 0: by 0.08 w / max |w| a step."""
    weights = torch.tensor([[1.0, -0.5, 0.25]], dtype=torch.float64)
    images = torch.full((1, 3, 2, 3), 0.5, dtype=torch.float64)
    images[:, 0] = 0.6
    images[0, :, 0, 0] = torch.tensor([1.0, 0.0, 0.5])  # its range: 0 to 1
    seen: list[Tensor] = []

    def network(batch: Tensor) -> Tensor:
        seen.append(batch.detach().clone())
        return F.conv2d(batch, weights[:, :, None, None])

    list(ascent(network, images, torch.tensor([0]), positive_weights(weights), Climb(steps=9, weight=0.0)))
    start = torch.cat([images, images.flip(-1)])
    for number, batch in enumerate(seen):
        moved = start + number * 0.08 * weights.view(1, 3, 1, 1)
        torch.testing.assert_close(batch, moved.clamp(0, 1), rtol=0, atol=1e-9)
    assert (seen[-1] == 1).any() and (seen[-1] == 0).any()  # the clip was met


@pytest.mark.parametrize("lambda_scale", ["reference", "unit"])
def test_the_gradient_of_the_objective_is_the_closed_form(lambda_scale: str) -> None:
    """dJ/dx = sum_k s_k w_k [z_k > 0] / N - weight m sign(R_t - R_0) dR/dx, in the second step."""
    how = Climb(lambda_scale=lambda_scale, weight=7.0)
    classes, row = torch.tensor([1, 2]), torch.arange(2)
    first = pair_map(linear()(_pairs(pictures(seed=1))).unflatten(0, (2, 2)), classes, POSITIVE)
    images = _pairs(pictures()).requires_grad_()
    found = linear()(images).unflatten(0, (2, 2))
    current = pair_map(found, classes, POSITIVE)
    (by_autograd,) = torch.autograd.grad(objective(found, classes, current, first, how).sum(), images)
    with torch.no_grad():
        signs = -torch.ones(2, 3, dtype=torch.float64)
        signs[row, classes] = 1
        active = (found > 0).double()  # (Q, 2, C, h, w)
        scores = torch.einsum("qc,qichw,cd->qidhw", signs, active, WEIGHTS) / 24
        strong = (current / current.amax((1, 2), keepdim=True) > 0.5).double()
        scale = first.amax((1, 2)) if lambda_scale == "unit" else torch.ones(2, dtype=torch.float64)
        pull = 7 * strong * (current - first).sign() / scale[:, None, None]  # (Q, h, w)
        own = active[row, :, classes]  # (Q, 2, h, w)
        share = own.sum((2, 3)) / own.sum((1, 2, 3))[:, None] / POSITIVE[classes, None]
        both = torch.stack([pull, pull.flip(-1)], 1) * own * share[:, :, None, None]
        expected = scores - both[:, :, None] * WEIGHTS[classes][:, None, :, None, None]
    torch.testing.assert_close(by_autograd.unflatten(0, (2, 2)), expected)


def _pairs(images: Tensor) -> Tensor:
    return torch.stack([images, images.flip(-1)], 1).flatten(0, 1)


def test_a_batch_is_its_pairs_one_by_one() -> None:
    """Each divides by its own largest gradient, and is clipped to its own range."""
    images = pictures(3) * torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64)[:, None, None, None]
    classes, how = torch.tensor([2, 0, 1]), Climb(steps=6, step=0.3)
    together = climb(linear(), images, classes, POSITIVE, how)
    for row in range(3):
        part = slice(row, row + 1)
        torch.testing.assert_close(
            climb(linear(), images[part], classes[part], POSITIVE, how), together[part]
        )


def test_the_classs_score_climbs_and_those_of_others_fall() -> None:
    network = linear()
    seen: list[Tensor] = []

    def watched(images: Tensor) -> Tensor:
        found = network(images)
        seen.append(found.detach().relu().mean((2, 3)).sum(0))
        return found

    climb(watched, pictures(1), torch.tensor([1]), POSITIVE, Climb(steps=4, weight=0.0))
    change = seen[-1] - seen[0]
    assert 2 * change[1] - change.sum() > 0


def test_the_weight_holds_what_was_found() -> None:
    arguments = (pictures(), torch.tensor([0, 1]), POSITIVE)
    free, held = (
        list(ascent(linear(), *arguments, Climb(steps=4, weight=weight, lambda_scale="unit")))
        for weight in (0.0, 50.0)
    )
    assert (held[-1] - held[0]).abs().sum() < (free[-1] - free[0]).abs().sum()


def test_no_parameter_gets_a_gradient_and_no_image_changes() -> None:
    network: Any = nn.Conv2d(3, 3, 3, padding=1).double()
    images = pictures()
    before = images.clone()
    with torch.no_grad():
        found = climb(network, images, torch.tensor([0, 1]), POSITIVE, Climb(steps=3))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(images, before) and not images.requires_grad and not found.requires_grad


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"expected \(Q, 3, H, W\) and \(Q,\), found \(2, 3, 4, 6\) and \(3,\)"
    ):
        climb(linear(), pictures(), torch.tensor([0, 1, 2]), POSITIVE)
    with pytest.raises(ValueError, match="steps: expected at least 1, found 0"):
        Climb(steps=0)
    with pytest.raises(
        ValueError, match=r"lambda_scale: expected one of \['reference', 'unit'\], found 'own'"
    ):
        Climb(lambda_scale="own")
