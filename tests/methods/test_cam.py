import pytest
import torch
import torch.nn.functional as F

from tests.golden import assert_close_to_golden
from wsss.methods.cam import merge_views, normalise, over_peaks, regrid, upsample_maps
from wsss.methods.labels import pseudo_labels


def test_normalise_by_hand():
    maps = torch.tensor([[-1.0, 2.0, 4.0], [-3.0, -2.0, 0.0]])
    assert torch.equal(normalise(maps, 0), torch.tensor([[0, 0.5, 1], [0, 0, 0]]))
    torch.testing.assert_close(normalise(maps)[0], torch.tensor([0, 2 / 4.00001, 4 / 4.00001]))


@pytest.mark.parametrize("grid", ["g5x7", "g12x9"])
def test_normalise_agrees_with_the_recorded_maps(golden, grid, dtype, device):
    maps = torch.tensor(golden("adcam")[f"{grid}_F"], dtype=dtype, device=device)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    assert_close_to_golden(normalise(maps, 0), golden("adcam")[f"{grid}_M0"], tolerance)


def test_no_class_gives_no_map():
    empty = torch.zeros(0, 4, 5)
    assert normalise(empty).shape == (0, 4, 5)
    assert merge_views([empty], [(16, 20)], [False], (16, 20), stride=4).shape == (0, 4, 5)
    assert upsample_maps(empty, 4, (15, 18)).shape == (0, 15, 18)


@pytest.mark.parametrize(("grid", "name"), [(4, "strided_cam"), (1, "high_res_cam")])
def test_merging_agrees_with_the_recorded_maps(golden, grid, name, dtype, device):
    arrays = golden("irncam")
    raw = [
        torch.tensor(arrays[f"raw_scale{i}"][arrays["keys"]], dtype=dtype, device=device) for i in range(4)
    ]
    sizes = [(64, 80), (32, 40), (96, 120), (128, 160)]
    merged = merge_views(raw, sizes, [False] * 4, (64, 80), stride=None, grid=grid)
    assert_close_to_golden(merged, arrays[name], 2e-7 if dtype == torch.float64 else 2e-5)


@pytest.mark.parametrize("size", [(64, 96), (61, 83), (7, 5)])
def test_a_straight_ramp_stays_a_ramp_whatever_the_view(size):
    views = [(round(size[0] * f), round(size[1] * f)) for f in (1, 0.5, 1.5, 2)]
    mirrored = [False, True, False, True]
    maps = [ramp(view, size, 8, mirror) for view, mirror in zip(views, mirrored, strict=True)]
    merged = merge_views(maps, views, mirrored, size, stride=8)[0]
    centre = 4 * torch.arange(merged.shape[1], dtype=torch.float64) + 2
    inner = (centre > 8) & (centre < size[1] - 8)  # beyond the outermost centres a map stays flat
    steps = merged[:, inner].diff(dim=1)
    torch.testing.assert_close(steps, steps[:1, :1].expand_as(steps))


def ramp(view, size, stride, mirror):
    """The image's horizontal position as seen at the centres of a padded view's cells, (1, h, w)."""
    rows, columns = (-(-side // stride) for side in view)
    x = (torch.arange(columns, dtype=torch.float64) + 0.5) * stride
    x = (view[1] - x if mirror else x) * size[1] / view[1]
    return (x + 100).expand(1, rows, columns)


def test_a_mirrored_view_counts_as_the_plain_one():
    maps = torch.rand(2, 4, 6)
    plain = merge_views([maps], [(32, 48)], [False], (32, 48), stride=8)
    both = merge_views([maps, maps.flip(-1)], [(32, 48)] * 2, [False, True], (32, 48), stride=8)
    torch.testing.assert_close(both, plain)


def test_cells_of_padding_are_not_read_as_image():
    maps = torch.zeros(1, 1, 3, dtype=torch.float64)
    maps[0, 0, 2] = 1.0  # covers pixels 32 to 47, of which the image has one
    merged = merge_views([maps], [(16, 33)], [False], (16, 33), stride=16)
    stretched = merge_views([maps], [(16, 33)], [False], (16, 33), stride=None)
    assert (merged > 0).sum() < (stretched > 0).sum()


def test_a_view_of_the_image_itself_is_a_bilinear_resize():
    maps = torch.rand(2, 4, 6, dtype=torch.float64)
    expected = F.interpolate(maps[None], (16, 24), mode="bilinear", align_corners=False)[0]
    merged = merge_views([maps], [(64, 96)], [False], (64, 96), stride=16)
    torch.testing.assert_close(merged, normalise(expected))


def test_upsampling_crops_and_leads_to_the_recorded_labels(golden):
    arrays = golden("irncam")
    maps = upsample_maps(torch.tensor(arrays["semseg_rw"][:, 0]), 4, (64, 80))
    labels = pseudo_labels(maps / maps.max(), arrays["keys"], 0.25)
    assert (labels == arrays["semseg_label"]).all()
    assert upsample_maps(torch.rand(2, 16, 20), 4, (61, 77)).shape == (2, 61, 77)


def test_upsampling_keeps_a_constant_map():
    assert torch.equal(upsample_maps(torch.ones(1, 3, 4), 4, (10, 15)), torch.ones(1, 10, 15))


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"at least one, found \(0, 0, 0\)"):
        merge_views([], [], [], (8, 8), stride=4)
    with pytest.raises(ValueError, match=r"found \(1, 2, 1\)"):
        merge_views([torch.rand(1, 2, 2)], [(8, 8)] * 2, [False], (8, 8), stride=4)
    with pytest.raises(ValueError, match=r"view maps: expected \(K, h, w\), found \(2, 2\)"):
        merge_views([torch.rand(2, 2)], [(8, 8)], [False], (8, 8), stride=4)
    with pytest.raises(ValueError, match="expected 3 cells of 4 px for a side of 9 px, found 2"):
        merge_views([torch.rand(1, 2, 2)], [(8, 9)], [False], (8, 9), stride=4)
    with pytest.raises(ValueError, match=r"maps: expected \(K, h, w\) = \(1, 2, 3\), found \(1, 2, 2\)"):
        upsample_maps(torch.rand(1, 2, 2), 4, (8, 9))


def test_views_are_divided_by_their_common_peak_by_hand():
    """One class is strongest in the second view, another nowhere positive."""
    views = [torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]]), torch.tensor([[[4.0]], [[0.0]]])]
    first, second = over_peaks(views)
    assert first.tolist() == [[[0.25, 0.5]], [[0.0, 0.0]]] and second.tolist() == [[[1.0]], [[0.0]]]
    assert over_peaks([]) == []


def test_what_views_add_up_to_keeps_its_shape(dtype):
    views = [torch.rand(2, 5, 6, dtype=dtype), torch.rand(2, 3, 3, dtype=dtype)]
    sizes = [(20, 24), (10, 12)]
    merged = [
        merge_views(maps, sizes, [False, False], (20, 24), stride=4) for maps in (views, over_peaks(views))
    ]
    torch.testing.assert_close(*merged, atol=2e-5, rtol=0)


def test_maps_of_another_size_are_read_by_hand():
    """A row of cells at 16 pixels, read at 8: each target cell lies in the middle of two."""
    maps = torch.tensor([[[0.0, 1.0, 2.0, 4.0]]])
    assert regrid(maps, (4, 16), (4, 8)).tolist() == [[[0.5, 3.0]]]
    assert regrid(torch.tensor([[[0.5, 3.0]]]), (4, 8), (4, 16)).tolist() == [[[0.5, 1.125, 2.375, 3.0]]]


@pytest.mark.parametrize("size", [(40, 52), (37, 45)])
def test_maps_of_the_same_size_are_read_as_they_are(size):
    maps = torch.rand(2, -(-size[0] // 4), -(-size[1] // 4))
    assert torch.equal(regrid(maps, size, size), maps)


def test_regridding_keeps_constants_and_bounds():
    maps = torch.rand(3, 10, 12, dtype=torch.float64)
    for size in ((77, 90), (25, 33)):
        found = regrid(maps, (40, 46), size)
        assert found.shape == (3, -(-size[0] // 4), -(-size[1] // 4))
        assert maps.min() <= found.min() and found.max() <= maps.max()
        torch.testing.assert_close(regrid(torch.ones_like(maps), (40, 46), size), torch.ones_like(found))
    with pytest.raises(ValueError, match="view maps: expected 15 cells of 4 px"):
        regrid(maps, (40, 60), (77, 90))
