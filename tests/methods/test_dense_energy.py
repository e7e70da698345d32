"""The energy of a soft segmentation."""

import math

import pytest
import torch
from torch import Tensor

from wsss.methods.dense_energy import dense_energy

WIDTHS = {"place": 0.3, "colour": 0.5}


def drawn() -> tuple[Tensor, Tensor]:
    """Probabilities of three labels and pictures of 2 x 3 cells, float64."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(2, 3, 2, 3, generator=generator, dtype=torch.float64).softmax(1)
    return probabilities, torch.randn(2, 3, 2, 3, generator=generator, dtype=torch.float64)


def by_loops(probabilities: Tensor, images: Tensor, place: float, colour: float) -> float:
    """The definition, pair by pair."""
    energies = []
    for soft, image in zip(probabilities, images, strict=True):
        cells = [(y, x) for y in range(2) for x in range(3)]
        total = energy = 0.0
        for i in cells:
            for j in cells:
                if i == j:
                    continue
                apart = ((i[0] - j[0]) / 2) ** 2 + ((i[1] - j[1]) / 3) ** 2
                unlike = float((image[:, *i] - image[:, *j]).square().sum())
                weight = math.exp(-apart / (2 * place**2) - unlike / (2 * colour**2))
                total += weight
                energy += weight * (1 - float(soft[:, *i] @ soft[:, *j]))
        energies.append(energy / total)
    return sum(energies) / len(energies)


def test_two_cells_by_hand(dtype: torch.dtype, device: torch.device) -> None:
    """Both pairs weigh alike: labels differ with chance 0.8 x 0.7 + 0.2 x 0.3."""
    soft = torch.tensor([[[[0.8, 0.3]], [[0.2, 0.7]]]], dtype=dtype, device=device)
    energy = dense_energy(soft, torch.zeros(1, 3, 1, 2, dtype=dtype, device=device), **WIDTHS)
    assert energy.dtype == dtype
    assert energy.item() == pytest.approx(0.62)


def test_all_pairs_one_by_one() -> None:
    assert dense_energy(*drawn(), **WIDTHS).item() == pytest.approx(by_loops(*drawn(), **WIDTHS), abs=1e-9)


def test_one_label_everywhere_has_none_and_neither_has_a_single_cell() -> None:
    _, images = drawn()
    sure = torch.zeros(2, 3, 2, 3, dtype=torch.float64)
    sure[:, 1] = 1
    assert dense_energy(sure, images, **WIDTHS).item() == 0
    assert dense_energy(sure[..., :1, :1], images[..., :1, :1], **WIDTHS).item() == 0


def test_labels_that_follow_the_colours_cost_less() -> None:
    images = torch.zeros(1, 3, 4, 4)
    images[..., 2:] = 1.0
    halves = torch.zeros(1, 2, 4, 4)
    halves[:, 0, :, :2] = halves[:, 1, :, 2:] = 1.0
    widths = {"place": 1.0, "colour": 0.2}
    across = dense_energy(halves.mT, images, **widths)
    assert dense_energy(halves, images, **widths) < 0.1 * across


def test_gradients_reach_the_probabilities_and_not_the_image() -> None:
    soft, images = drawn()
    assert torch.autograd.gradcheck(lambda x: dense_energy(x, images, **WIDTHS), soft.requires_grad_())
    dense_energy(soft, images.requires_grad_(), **WIDTHS).backward()
    assert images.grad is None


def test_images_of_another_size_are_refused() -> None:
    soft, images = drawn()
    with pytest.raises(ValueError, match=r"images: expected \(B, 3, h, w\) = \(2, 3, 2, 3\), found"):
        dense_energy(soft, images[..., :2], **WIDTHS)
