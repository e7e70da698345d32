"""Class maps merged over scales."""

import pytest
import torch
from torch.nn import functional as F

from wsss.methods.token_maps import merge_scales


def test_two_cells_by_hand() -> None:
    upright, mirrored = torch.tensor([[[[-1.0, 3.0]]]]), torch.tensor([[[[5.0, 1.0]]]])
    assert merge_scales([(upright, mirrored)], (1, 2)).tolist() == [[[[0.0, 1.0]]]]


def test_each_scale_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = ((4, 4), (2, 2), (6, 6))
    pairs = [
        tuple(torch.randn(2, 3, *size, generator=generator, dtype=torch.float64) for _ in range(2))
        for size in sizes
    ]
    total = torch.zeros(2, 3, 4, 4, dtype=torch.float64)
    for one, two in pairs:
        resized = [F.interpolate(maps, (4, 4), mode="bilinear") for maps in (one, two.flip(-1))]
        total += torch.stack(resized).amax(0).clamp(min=0)
    for b in range(2):
        for c in range(3):
            low, high = total[b, c].min(), total[b, c].max()
            expected = (total[b, c] - low) / (high - low)
            torch.testing.assert_close(merge_scales(pairs, (4, 4))[b, c], expected)  # type: ignore[arg-type]


def test_a_mirrored_image_gives_mirrored_maps_and_one_without_evidence_none() -> None:
    maps = [tuple(torch.randn(1, 2, 4, 6, generator=torch.Generator().manual_seed(s)) for s in (1, 2))]
    turned = [(two, one) for one, two in maps]
    torch.testing.assert_close(merge_scales(turned, (4, 6)), merge_scales(maps, (4, 6)).flip(-1))  # type: ignore[arg-type]
    assert not merge_scales([(-maps[0][0].abs(), -maps[0][1].abs())], (4, 6)).any()


def test_no_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="pairs: expected the maps of at least one scale"):
        merge_scales([], (2, 2))
