import numpy as np
import pytest
import torch
from torch.nn import functional as F

from wsss.prediction.tiling import Tile, enlarged_part, inside, slices, tiles


def test_a_small_picture_is_one_tile() -> None:
    assert tiles((30, 20), 32) == [Tile(((0, 30), (0, 20)), ((0, 30), (0, 20)))]


def test_tiles_of_a_row_by_hand() -> None:
    found = tiles((16, 40), 16)  # margins of 2: (40 - 4) / 12 = 3 tiles, which start at 0, 12 and 24
    assert [tile.seen[1] for tile in found] == [(0, 16), (12, 28), (24, 40)]
    assert [tile.kept[1] for tile in found] == [(0, 14), (14, 26), (26, 40)]


@pytest.mark.parametrize("size", [(17, 16), (100, 333), (64, 1000), (1, 257)])
def test_each_pixel_is_kept_once_and_seen_with_a_margin(size: tuple[int, int]) -> None:
    counts, side = np.zeros(size, int), 64
    for tile in tiles(size, side):
        counts[slices(tile.kept)] += 1
        for (start, end), (first, last), length in zip(tile.seen, tile.kept, size, strict=True):
            assert end - start == min(side, length)
            assert first == 0 or first - start >= side // 8
            assert last == length or end - last >= side // 8
    assert (counts == 1).all()


def test_a_picture_is_put_together_from_what_its_tiles_see() -> None:
    picture = np.arange(90 * 70).reshape(90, 70)
    whole = np.zeros_like(picture)
    for tile in tiles(picture.shape, 32):
        whole[slices(tile.kept)] = picture[slices(tile.seen)][inside(tile)]
    assert np.array_equal(whole, picture)


def test_tiles_too_small_for_a_margin_are_refused() -> None:
    with pytest.raises(ValueError, match="tile: expected at least 16 pixels, found 15"):
        tiles((100, 100), 15)


@pytest.mark.parametrize("size", [(50, 61), (7, 9), (3, 4)])
def test_a_part_of_an_enlargement_is_that_of_the_whole(size: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, 7, 9, dtype=torch.float64)
    whole = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    for area in (((0, size[0]), (0, size[1])), ((1, 3), (2, size[1] - 1))):
        rows, columns = slices(area)
        torch.testing.assert_close(enlarged_part(maps, size, area), whole[..., rows, columns])
