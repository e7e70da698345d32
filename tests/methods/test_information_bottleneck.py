"""RIB's pooling by hand, and a toy classifier that is tuned: what is summed, what ends it, what returns."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wsss.methods.information_bottleneck import (
    Others,
    Scale,
    Tuning,
    gndrp,
    loss_of,
    share_covered,
    tuned_maps,
)

HAND = torch.tensor([4.0, 2.0, 1.0, -1.0], dtype=torch.float64).view(1, 1, 2, 2)


class Toy(nn.Module):
    """A convolution under a 1x1 convolution without bias, which is the head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 4, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.head(self.body(images).relu())
        return maps

    def groups(self, rate: float = 0.05) -> list[dict[str, Any]]:
        return [
            {"params": list(self.body.parameters()), "lr": rate / 10},
            {"params": list(self.head.parameters()), "lr": rate},
        ]


def views(seed: int = 0) -> list[Scale]:
    """An image at scales 1, 0.5 and 1.5."""
    generator = torch.Generator().manual_seed(seed)
    images = [
        torch.rand(3, *size, generator=generator, dtype=torch.float64) for size in ((6, 8), (3, 4), (9, 12))
    ]
    pairs = [torch.stack([image, image.flip(-1)]) for image in images]
    return [Scale(pairs[0], counts=True), Scale(pairs[1], teaches=False), Scale(pairs[2])]


def crops(count: int = 3) -> Others:
    generator = torch.Generator().manual_seed(9)
    images = torch.rand(count, 3, 5, 5, generator=generator, dtype=torch.float64)
    return Others(images, torch.tensor([[0.0, 0, 0, 1]]).double().expand(count, 4))


def tune(network: Toy, scales: Sequence[Scale], rate: float = 0.05, **how: Any) -> list[Tensor]:
    settings = Tuning(**{"rounds": 4, "coverage": 1.0, **how})
    return tuned_maps(network, network.groups(rate), scales, [0, 2], [crops()], settings)


def state(network: nn.Module) -> Mapping[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture
def network() -> Toy:
    return Toy().double().eval()


@pytest.mark.parametrize(("tau", "expected"), [(0.4, 0.0), (0.6, 0.5)])
def test_pooling_by_hand(tau: float, expected: float) -> None:
    """Of 4, 2, 1, -1 these are 1, -1 and 2, 1, -1, over all four cells."""
    assert gndrp(HAND, tau).item() == expected


def test_the_pooling_s_gradient_reaches_the_cells_that_it_means_and_no_others() -> None:
    maps = HAND.clone().requires_grad_()
    gndrp(maps, 0.6).sum().backward()  # type: ignore[no-untyped-call]
    assert maps.grad is not None
    assert maps.grad.flatten().tolist() == [0, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("peak", [0.0, -0.5])
def test_a_map_without_positive_evidence_pools_to_nothing(peak: float) -> None:
    assert gndrp(HAND - 4 + peak, 0.4).item() == 0


def test_the_loss_counts_each_row_s_own_labels() -> None:
    maps = torch.cat([HAND, 2 * HAND]).expand(2, 3, 2, 2)
    tags = torch.tensor([[1.0, 1, 0], [0, 0, 1]])
    assert loss_of(maps, tags, 0.6).item() == -(0.5 + 0.5 + 1.0)


def test_the_share_of_cells_that_any_class_covers() -> None:
    maps = torch.tensor([[[1.0, 0.31, 0.3, 0.0]], [[0.0, 0.0, 0.0, 8.0]]])
    assert share_covered(maps, 0.3) == 0.75
    assert share_covered(torch.zeros(2, 3, 3), 0.3) == 0


def test_without_a_rate_it_is_cam(network: Toy) -> None:
    found = tune(network, views(), rate=0.0)
    for scale, maps in zip(views(), found, strict=True):
        positive = network(scale.pair)[:, [0, 2]].relu().detach()
        torch.testing.assert_close(maps, 4 * (positive[0] + positive[1].flip(-1)))


def test_a_round_is_a_step_of_descent_by_hand(network: Toy) -> None:
    """The second of two rounds sees w - lr (dL/dw + decay w); its own update is not used."""
    found = tune(network, views(), rounds=2)
    other = Toy().double().eval()
    loss = sum(
        loss_of(other(scale.pair)[:, [0, 2]], torch.ones(2, 2), 0.4) for scale in views() if scale.teaches
    )
    loss = loss + loss_of(other(crops().images), crops().tags, 0.4)
    groups = other.groups()
    gradients = torch.autograd.grad(loss, list(other.parameters()))  # type: ignore[arg-type]
    first = [other(scale.pair)[:, [0, 2]].relu().detach() for scale in views()]
    rates = [group["lr"] for group in groups for _ in group["params"]]
    with torch.no_grad():
        for parameter, gradient, rate in zip(other.parameters(), gradients, rates, strict=True):
            parameter -= rate * (gradient + 1e-4 * parameter)
        second = [other(scale.pair)[:, [0, 2]].relu() for scale in views()]
    for maps, one, two in zip(found, first, second, strict=True):
        both = one + two
        torch.testing.assert_close(maps, both[0] + both[1].flip(-1))
        assert not torch.allclose(one, two)


def test_the_rates_fall_by_the_polynomial(network: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[float]] = []
    step = torch.optim.SGD.step

    def watched(optimizer: torch.optim.SGD, *arguments: Any, **keywords: Any) -> Any:
        seen.append([group["lr"] for group in optimizer.param_groups])
        return step(optimizer, *arguments, **keywords)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    tune(network, views(), rounds=4)
    assert [rates[1] for rates in seen] == pytest.approx([0.05 * (1 - t / 4) ** 0.9 for t in range(3)])
    assert [rates[0] for rates in seen] == pytest.approx([rates[1] / 10 for rates in seen])


def test_parameters_and_gradients_are_restored_to_the_bit(network: Toy) -> None:
    network.head.weight.grad = torch.full_like(network.head.weight, 0.5)
    before = state(network)
    tune(network, views())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.body.weight.grad is None and (network.head.weight.grad == 0.5).all()


def test_they_are_restored_after_a_failure(network: Toy) -> None:
    before = state(network)
    lost = Others(torch.zeros(1, 5, 4, 4).double(), torch.zeros(1, 4))  # five channels
    with pytest.raises(RuntimeError):
        tuned_maps(network, network.groups(), views(), [0], [crops(), lost], Tuning())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_order_of_images_does_not_matter(network: Toy) -> None:
    one, other = tune(network, views(1)), tune(network, views(2))
    assert all(map(torch.equal, tune(network, views(2)), other))
    assert all(map(torch.equal, tune(network, views(1)), one))


def test_how_crops_are_batched_does_not_matter(network: Toy) -> None:
    rows = crops()
    parts = [Others(rows.images[i : i + 1], rows.tags[i : i + 1]) for i in range(3)]
    how = Tuning(rounds=3, coverage=1.0)
    found = tuned_maps(network, network.groups(), views(), [0, 2], parts, how)
    for maps, together in zip(found, tune(network, views(), rounds=3), strict=True):
        torch.testing.assert_close(maps, together)


def test_the_weak_cells_gain(network: Toy) -> None:
    """That is what it is for: the pooled score of the image's own classes grows."""
    scores: list[float] = []

    def watched(images: Tensor) -> Tensor:
        found = network(images)
        if images.shape == views()[0].pair.shape:
            scores.append(gndrp(found[:, [0, 2]], 0.4).sum().item())
        return found

    how = Tuning(rounds=5, coverage=1.0)
    tuned_maps(watched, network.groups(0.02), views(), [0, 2], [crops()], how)
    assert len(scores) == 5 and scores == sorted(scores) and scores[-1] > scores[0]


def test_scores_that_leave_the_limit_end_it_after_their_round(network: Toy) -> None:
    assert all(map(torch.equal, tune(network, views(), limit=0.0), tune(network, views(), rounds=1)))


def test_maps_that_cover_the_image_end_it_before_their_round(network: Toy) -> None:
    """Never in the first round, and only the scale that counts is looked at."""
    once = tune(network, views(), rounds=1)
    assert all(map(torch.equal, tune(network, views(), coverage=0.0), once))
    blind = [scale._replace(counts=False) for scale in views()]
    assert not torch.equal(tune(network, blind, coverage=0.0)[0], once[0])


def test_it_works_where_gradients_are_off(network: Toy) -> None:
    with torch.no_grad():
        found = tune(network, views())
    assert not torch.equal(found[0], 4 * tune(network, views(), rounds=1)[0])
    assert not any(maps.requires_grad for maps in found)


def test_no_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds: expected at least 1, found 0"):
        Tuning(rounds=0)
