import numpy as np
import pytest
import torch

from tests.golden import assert_close_to_golden
from wsss.methods.affinity import index_pairs, pair_affinity, path_max, random_walk, search_paths


@pytest.mark.parametrize("radius", [5, 10])
def test_directions_and_paths_agree_with_the_recorded_ones(golden, radius):
    arrays = golden("irn")
    directions, cells = search_paths(radius)
    assert np.array_equal(directions.numpy(), arrays[f"r{radius}_search_dst"])
    ends = np.cumsum(arrays[f"r{radius}_path_len"])[:-1]
    for found, expected in zip(cells, np.split(arrays[f"r{radius}_path_cells"], ends), strict=True):
        assert sorted(found) == sorted(map(tuple, expected.tolist()))


def test_a_thick_path_by_hand():
    directions, cells = search_paths(5)
    path = cells[directions.tolist().index([2, 3])]  # without the corners (0, 2), (0, 3), (2, 0) and (2, 1)
    assert sorted(path) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3)]


@pytest.mark.parametrize("radius", [5, 10])
def test_affinities_agree_with_the_recorded_ones(golden, radius, dtype, device):
    arrays = golden("irn")
    edge = torch.tensor(arrays[f"r{radius}_edge"][0, 0], dtype=dtype, device=device)
    affinity, pairs = pair_affinity(edge, radius)
    assert_close_to_golden(affinity, arrays[f"r{radius}_aff"][0], 1e-9 if dtype == torch.float64 else 1e-5)
    assert (pairs[0].cpu().numpy() == arrays[f"r{radius}_src"]).all()
    assert (pairs[1].cpu().numpy() == arrays[f"r{radius}_dst"]).all()


def test_affinity_by_hand():
    edge = torch.tensor([[0.0, 0.3, 0.9], [0.0, 0.2, 0.1]])
    affinity, pairs = pair_affinity(edge, 2)
    assert pairs[0].unique().tolist() == [1]
    found = dict(zip(pairs[1].flatten().tolist(), affinity.flatten().tolist(), strict=True))
    assert found == pytest.approx({2: 0.1, 3: 0.7, 4: 0.7, 5: 0.1})


def test_the_gradient_reaches_the_strongest_cell_of_each_path_only():
    edge = torch.rand(2, 5, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: path_max(values, 3), edge)
    path_max(edge, 3).sum().backward()
    pairs = index_pairs(edge, 3)[0].numel()
    torch.testing.assert_close(edge.grad.sum((1, 2)), torch.full((2,), pairs, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "recorded", "beta", "log2_steps"),
    [
        ("rw_small", "out", 10.0, 8),
        ("rw_mid", "out_beta10_exp8", 10.0, 8),
        ("rw_mid", "out_beta8_exp5", 8.0, 5),
    ],
)
def test_walk_agrees_with_the_recorded_one(golden, name, recorded, beta, log2_steps, dtype, device):
    arrays = golden("irn")
    scores = torch.tensor(arrays[f"{name}_x"], dtype=dtype, device=device)
    edge = torch.tensor(arrays[f"{name}_edge"][0], dtype=dtype, device=device)
    walked = random_walk(scores, edge, beta=beta, log2_steps=log2_steps)
    assert walked.dtype == dtype and walked.device == scores.device
    assert_close_to_golden(
        walked, arrays[f"{name}_{recorded}"][:, 0], 1e-9 if dtype == torch.float64 else 1e-6
    )


@pytest.mark.parametrize("size", [(2, 3), (1, 12), (13, 17)])
def test_walk_agrees_with_the_dense_matrix_power(size):
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(3, *size, generator=generator, dtype=torch.float64)
    edge = torch.rand(*size, generator=generator, dtype=torch.float64) ** 3
    affinity = dense_affinity(edge, 5) ** 4.0
    power = torch.linalg.matrix_power(affinity / affinity.sum(0), 8)
    expected = ((scores * (1 - edge)).flatten(1) @ power).view_as(scores)
    torch.testing.assert_close(random_walk(scores, edge, beta=4.0, log2_steps=3), expected)


@pytest.mark.parametrize("size", [(2, 3), (13, 17)])
def test_means_agree_with_the_dense_matrix_power_of_maps_and_ones(size):
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(3, *size, generator=generator, dtype=torch.float64)
    edge = torch.rand(*size, generator=generator, dtype=torch.float64) ** 3
    affinity = dense_affinity(edge, 5) ** 4.0
    power = torch.linalg.matrix_power(affinity / affinity.sum(0), 8)
    walked, ones = (maps.flatten(1) @ power for maps in (scores * (1 - edge), (1 - edge)[None]))
    found = random_walk(scores, edge, beta=4.0, log2_steps=3, normalise="mean")
    torch.testing.assert_close(found, (walked / ones).view_as(scores))


def test_a_mean_by_hand():
    """One step at radius 2 from the middle of a row of three, whose right cell a boundary half covers."""
    scores = torch.tensor([[[0.2, 0.4, 0.8]]], dtype=torch.float64)
    edge = torch.tensor([[0.0, 0.0, 0.5]], dtype=torch.float64)
    # in reach: itself and both neighbours, by affinities 1, 1 and 1/2; of their scores 1, 1 and 1/2 remain
    expected = (0.2 + 0.4 + 0.5 * 0.5 * 0.8) / (1 + 1 + 0.5 * 0.5)
    found = random_walk(scores, edge, radius=2, beta=1.0, log2_steps=0, normalise="mean")
    assert found[0, 0, 1].item() == pytest.approx(expected)
    mass = random_walk(scores, edge, radius=2, beta=1.0, log2_steps=0)
    assert mass[0, 0, 1].item() == pytest.approx((0.2 + 0.4 + 0.5 * 0.5 * 0.8) / 2.5)


def test_a_constant_map_stays_constant_by_means_and_darkens_by_mass(dtype):
    generator = torch.Generator().manual_seed(2)
    edge = (torch.rand(14, 18, generator=generator) ** 2).to(dtype)
    scores = torch.stack([torch.full_like(edge, value) for value in (1.0, 0.3)])
    means = random_walk(scores, edge, log2_steps=6, normalise="mean")
    torch.testing.assert_close(means, scores, rtol=1e-6 if dtype == torch.float32 else 1e-12, atol=0)
    assert (random_walk(scores, edge, log2_steps=6) < scores).all()


def test_means_stay_between_the_smallest_and_the_largest_score(dtype):
    generator = torch.Generator().manual_seed(3)
    edge = torch.rand(12, 15, generator=generator).to(dtype)
    scores = torch.rand(2, 12, 15, generator=generator).to(dtype) + 0.5
    walked = random_walk(scores, edge, log2_steps=5, normalise="mean")
    for found, given in zip(walked, scores, strict=True):
        assert given.min() - 1e-6 <= found.min() and found.max() <= given.max() + 1e-6


def test_where_boundaries_are_everything_means_are_zero():
    edge = torch.zeros(6, 7)
    edge[2:5, 2:5] = 1
    walked = random_walk(torch.ones(1, 6, 7), edge, radius=2, normalise="mean")
    assert walked.isfinite().all() and walked[0, 3, 3] == 0 and walked[0, 0, 0] == 1


def dense_affinity(edge, radius):
    """Affinity of every pair of pixels, pair by pair."""
    height, width = edge.shape
    affinity = torch.eye(height * width, dtype=edge.dtype)
    for direction, cells in zip(*search_paths(radius), strict=True):
        for start in range(height * width):
            y, x = divmod(start, width)
            path = [(y + dy, x + dx) for dy, dx in cells]
            if all(0 <= row < height and 0 <= column < width for row, column in path):
                end = (y + int(direction[0])) * width + x + int(direction[1])
                affinity[start, end] = affinity[end, start] = 1 - max(edge[cell] for cell in path)
    return affinity


def test_a_wall_keeps_the_walk_on_its_side():
    scores, edge = torch.zeros(1, 9, 12), torch.zeros(9, 12)
    scores[:, :, :4] = 1.0
    edge[:, 6] = 1.0
    walked = random_walk(scores, edge)
    assert (walked[:, :, 7:] == 0).all() and (walked[:, :, :6] > 0.1).all()


def test_one_step_without_boundaries_takes_the_mean_of_the_neighbours():
    scores = torch.rand(2, 9, 9, dtype=torch.float64)
    walked = random_walk(scores, torch.zeros(9, 9, dtype=torch.float64), radius=2, log2_steps=0)
    torch.testing.assert_close(walked[:, 4, 4], scores[:, 3:6, 3:6].mean((1, 2)))


def test_an_image_without_classes_walks_nowhere():
    for normalise in ("mass", "mean"):
        assert random_walk(torch.zeros(0, 6, 7), torch.rand(6, 7), normalise=normalise).shape == (0, 6, 7)


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match=r"normalise: expected one of \('mass', 'mean'\), found 'sum'"):
        random_walk(torch.zeros(1, 6, 7), torch.zeros(6, 7), normalise="sum")


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"edge: expected \(h, w\) = \(6, 7\), found \(7, 6\)"):
        random_walk(torch.zeros(2, 6, 7), torch.zeros(7, 6))
    with pytest.raises(ValueError, match=r"scores: expected \(K, h, w\), found \(6, 7\)"):
        random_walk(torch.zeros(6, 7), torch.zeros(6, 7))
    with pytest.raises(ValueError, match=r"edge: expected \(h, w\), found \(1, 6, 7\)"):
        pair_affinity(torch.zeros(1, 6, 7), 2)
    with pytest.raises(ValueError, match=r"edge: expected \(B, h, w\), found \(6, 7\)"):
        path_max(torch.zeros(6, 7), 2)
    with pytest.raises(ValueError, match=r"expected h > 4 and w > 8 for radius 5, found \(9, 8\)"):
        pair_affinity(torch.zeros(9, 8), 5)
    with pytest.raises(ValueError, match="radius: expected at least 2, found 1"):
        pair_affinity(torch.zeros(9, 8), 1)
