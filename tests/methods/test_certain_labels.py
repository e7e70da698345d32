"""Labels with unknown pixels between two thresholds."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss.methods.certain_labels import certain_labels, refined_labels
from wsss.methods.pamr import pamr

PAMR = partial(pamr, iterations=2, dilations=[1, 2])


def test_four_cells_by_hand() -> None:
    maps = torch.tensor([[[[0.9, 0.5, 0.2, 0.25]], [[0.8, 0.71, 0.1, 0.26]]]])
    assert certain_labels(maps, 0.7, 0.25).tolist() == [[[1, 2, 0, 255]]]


def test_thresholds_that_meet_leave_nothing_unknown() -> None:
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert (certain_labels(maps, 0.5, 0.5) != 255).all()
    with pytest.raises(ValueError, match=r"low: expected at most high 0\.2, found 0\.3"):
        certain_labels(maps, 0.2, 0.3)


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    """Pictures of 12 x 12 pixels, maps of 3 x 3 cells and tags of four classes, float64."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(3, 3, 12, 12, generator=generator, dtype=torch.float64)
    maps = torch.rand(3, 4, 3, 3, generator=generator, dtype=torch.float64)
    return images, maps, torch.tensor([[0.0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]])


def by_backgrounds(images: Tensor, maps: Tensor, tags: Tensor, high: float, low: float) -> Tensor:
    """Each background refined among the maps, as a plane of its own; then both results compared."""
    shown = F.interpolate(
        maps * tags[:, :, None, None], images.shape[2:], mode="bilinear", align_corners=False
    )
    found = []
    for background in (high, low):
        planes = torch.cat((torch.full_like(shown[:, :1], background), shown), 1)
        found.append(pamr(images, planes, iterations=2, dilations=[1, 2]).argmax(1))
    sure, possible = found
    return torch.where(sure > 0, sure, torch.where(possible > 0, 255, 0))


def test_refining_once_is_refining_against_two_backgrounds() -> None:
    images, maps, tags = drawn()
    labels = refined_labels(images, maps, tags, high=0.7, low=0.4, refine=PAMR)
    assert torch.equal(labels, by_backgrounds(images, maps, tags, 0.7, 0.4))
    assert set(labels[0].unique().tolist()) <= {0, 2, 4, 255}
    assert {2, 4, 255} <= set(labels[0].unique().tolist())
    assert not labels[2].any()  # it shows no class


def test_images_without_any_class_are_background() -> None:
    images, maps, tags = drawn()
    assert not refined_labels(images, maps, tags * 0, high=0.7, low=0.25, refine=PAMR).any()
