"""PAMR: the recorded masks, loops over pixels, and what it must leave alone."""

import pytest
import torch
import torch.nn.functional as F

from tests.golden import assert_close_to_golden
from wsss.methods.pamr import pamr

SETTINGS = {"def": {}, "small": {"iterations": 3, "dilations": (1, 2)}}
FLOAT32 = {"def_out": 5e-5, "def_out1": 1e-5, "small_out": 1e-5, "small_out1": 1e-5}


def recorded(golden, name, dtype=torch.float64, device="cpu"):
    arrays = golden("pamr")
    image = torch.tensor(arrays[f"{name}_rgb"], dtype=dtype, device=device) / 255
    return image, torch.tensor(arrays[f"{name}_mask"], dtype=dtype, device=device)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("suffix", ["out", "out1"])
def test_agrees_with_the_recorded_masks(golden, name, suffix, dtype, device):
    settings = {**SETTINGS[name], **({"iterations": 1} if suffix == "out1" else {})}
    refined = pamr(*recorded(golden, name, dtype, device), **settings)
    assert refined.dtype == dtype
    tolerance = 1e-9 if dtype == torch.float64 else FLOAT32[f"{name}_{suffix}"]
    assert_close_to_golden(refined, golden("pamr")[f"{name}_{suffix}"], tolerance)


@pytest.mark.parametrize("name", SETTINGS)
def test_agrees_with_the_recorded_masks_on_their_own_grid(golden, name):
    image, masks = recorded(golden, name)
    image = F.interpolate(image, masks.shape[-2:], mode="bilinear", align_corners=True)
    refined = pamr(image, masks, **SETTINGS[name])
    assert_close_to_golden(refined, golden("pamr")[f"{name}_run_pamr"], 1e-9)


def test_by_hand():
    # Two black and seven white pixels: their variance is 2 * 7 / 9 / 8. From the middle one, which is white,
    # the white neighbours differ by nothing and the black ones by one.
    image = torch.ones(1, 3, 3, 3, dtype=torch.float64)
    image[..., 0, :2] = 0
    masks = (image[:, :1] == 0).double()
    black = torch.exp(torch.tensor(-1 / (0.1 * (2 * 7 / 9 / 8) ** 0.5 + 1e-8), dtype=torch.float64))
    refined = pamr(image, masks, iterations=1, dilations=(1,))
    torch.testing.assert_close(refined[0, 0, 1, 1], 2 * black / (2 * black + 6))


def test_agrees_with_loops_over_pixels():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 6, 5, generator=generator, dtype=torch.float64)
    masks = torch.rand(1, 2, 6, 5, generator=generator, dtype=torch.float64)
    refined = pamr(image, masks, iterations=1, dilations=(1, 3))
    for y in range(6):
        for x in range(5):
            near = [
                (min(max(y + d * dy, 0), 5), min(max(x + d * dx, 0), 4))
                for d in (1, 3)
                for dy in (-1, 0, 1)
                for dx in (-1, 0, 1)
                if dy or dx
            ]
            colours = torch.stack([image[0, :, v, u] for v, u in near])
            centre = image[0, :, y, x]
            deviation = torch.cat([colours, centre[None], centre[None]]).std(0)
            weights = (-(colours - centre).abs() / (0.1 * deviation + 1e-8)).mean(1).softmax(0)
            expected = sum(weight * masks[0, :, v, u] for weight, (v, u) in zip(weights, near, strict=True))
            torch.testing.assert_close(refined[0, :, y, x], expected)


def test_no_iteration_only_resizes(golden):
    image, masks = recorded(golden, "def")
    expected = F.interpolate(masks, (40, 48), mode="bilinear", align_corners=True)
    assert torch.equal(pamr(image, masks, iterations=0), expected)


def test_masks_keep_their_sum_over_the_classes(golden):
    image, masks = recorded(golden, "def")
    refined = pamr(image, masks.softmax(1))
    torch.testing.assert_close(refined.sum(1), torch.ones(1, 40, 48).double())


def test_colours_may_be_shifted_and_scaled(golden):
    image, masks = recorded(golden, "def")
    mean, deviation = (
        torch.tensor(values).double().view(3, 1, 1) for values in ([0.4, 0.5, 0.6], [0.2, 0.3, 0.5])
    )
    torch.testing.assert_close(
        pamr((image - mean) / deviation, masks), pamr(image, masks), rtol=1e-5, atol=1e-6
    )


def test_an_image_of_one_colour_gives_plain_means(dtype, device):
    image = torch.full((1, 3, 3, 3), 0.7, dtype=dtype, device=device)
    masks = torch.zeros(1, 1, 3, 3, dtype=dtype, device=device)
    masks[..., 1, 1] = 1
    refined = pamr(image, masks, iterations=1, dilations=(1,))
    expected = torch.full((3, 3), 1 / 8).to(masks)
    expected[1, 1] = 0
    torch.testing.assert_close(refined[0, 0], expected)


def test_the_reach_may_exceed_the_image():
    refined = pamr(torch.rand(2, 3, 5, 4), torch.rand(2, 1, 2, 2))
    assert refined.shape == (2, 1, 5, 4) and torch.isfinite(refined).all()


def test_refuses_bad_input():
    image, masks = torch.rand(2, 3, 8, 8), torch.rand(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"image: expected \(B, 3, H, W\), found \(2, 1, 8, 8\)"):
        pamr(image[:, :1], masks)
    with pytest.raises(ValueError, match=r"image: expected \(B, 3, H, W\), found \(3, 8, 8\)"):
        pamr(image[0], masks)
    with pytest.raises(ValueError, match=r"masks: expected \(B, C, h, w\) with B = 2, found \(1, 1, 4, 4\)"):
        pamr(image, masks[:1])
    with pytest.raises(ValueError, match=r"masks: expected .*, found \(2, 4, 4\)"):
        pamr(image, masks[:, 0])
    with pytest.raises(ValueError, match=r"dilations: expected one or more from 1, found \(\)"):
        pamr(image, masks, dilations=())
    with pytest.raises(ValueError, match=r"dilations: .* found \(0, 1\)"):
        pamr(image, masks, dilations=(0, 1))
