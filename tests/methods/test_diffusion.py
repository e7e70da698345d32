import pytest
import torch

from tests.golden import assert_close_to_golden
from wsss.config.classifiers import CachedNeighbours
from wsss.methods import diffusion
from wsss.methods.attention import normalise_rows
from wsss.methods.cam import normalise
from wsss.methods.diffusion import (
    DIRECTIONS,
    attended,
    cached_count,
    coneighbour_similarity,
    diffuse,
    nearest_coneighbours,
    refine_attention,
    token_count,
    transition_from_neighbours,
)

LAYOUTS = {"gather": torch.sparse_csr, "hand_on": torch.sparse_csc, "literal": torch.sparse_csc}
HAND = torch.tensor([[0.64, 0.36, 0.0], [0.36, 0.64, 0.0], [0.0, 0.5, 0.5]])


@pytest.fixture
def attention(dtype, device):
    generator = torch.Generator().manual_seed(0)
    return (4 * torch.rand(70, 70, generator=generator, dtype=dtype)).softmax(1).to(device)


def recorded(golden, name, dtype=torch.float64):
    return torch.tensor(golden("adcam")[name], dtype=dtype)


def test_similarity_by_hand():
    near, far = 2 * 0.8 * 0.6, 0.8 * 0.5**0.5
    expected = torch.tensor([[1, near, 0.6 * 0.5**0.5], [near, 1, far], [0.6 * 0.5**0.5, far, 1]])
    torch.testing.assert_close(coneighbour_similarity(HAND), expected)


def test_refinement_and_diffusion_by_hand():
    refined = refine_attention(HAND, 2)
    torch.testing.assert_close(refined, torch.tensor([[0.64, 0.36, 0], [0.36, 0.64, 0], [0, 0.5, 0.5]]))
    spread = diffuse(torch.tensor([[0.0, 0.0, 1.0]]), refined, 2, direction="hand_on")
    torch.testing.assert_close(spread, torch.tensor([[0.18, 0.57, 0.25]]))


@pytest.mark.parametrize(
    ("direction", "once", "twice"),
    [
        ("gather", [1.36, 1.64, 2.5], [0.64 * 1.36 + 0.36 * 1.64, 0.36 * 1.36 + 0.64 * 1.64, 0.5 * 4.14]),
        ("hand_on", [1.36, 3.14, 1.5], [0.64 * 1.36 + 0.36 * 3.14, 0.36 * 1.36 + 0.64 * 3.14 + 0.75, 0.75]),
        ("literal", [1.0, 1.5 * 2, 0.5 * 3], [1.0, 1.5**2 * 2, 0.5**2 * 3]),
    ],
)
def test_steps_in_each_direction_by_hand(direction, once, twice):
    maps = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(diffuse(maps, HAND, 1, direction=direction), torch.tensor([once]))
    torch.testing.assert_close(diffuse(maps, HAND, 2, direction=direction), torch.tensor([twice]))


@pytest.mark.parametrize("grid", ["g5x7", "g12x9"])
@pytest.mark.parametrize("k", [6, 50])
def test_agrees_with_the_recorded_method(golden, grid, k, dtype, device):
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    A = recorded(golden, f"{grid}_A", dtype).to(device)
    assert_close_to_golden(coneighbour_similarity(A), golden("adcam")[f"{grid}_S"], tolerance)
    refined = refine_attention(A, k)
    mask = golden("adcam")[f"{grid}_k{k}_mask"]
    assert ((refined > 0).cpu().numpy() == mask).all()
    assert_close_to_golden(refined, golden("adcam")[f"{grid}_k{k}_Atilde"], tolerance)
    maps = normalise(recorded(golden, f"{grid}_F", dtype), 0).to(device)
    for steps in (0, 1, 2, 5) if k == 6 else (2,):
        spread = diffuse(maps.flatten(1), refined, steps, direction="hand_on").view_as(maps)
        assert_close_to_golden(spread, golden("adcam")[f"{grid}_k{k}_T{steps}"], tolerance)


@pytest.mark.parametrize("grid", ["g5x7", "g12x9"])
def test_attention_diffusion_without_refinement(golden, grid):
    maps = normalise(recorded(golden, f"{grid}_F"), 0)
    after = attended(maps.flatten(1), recorded(golden, f"{grid}_A"), 2, direction="hand_on")
    assert after.shape == (2, 3, maps[0].numel())
    assert_close_to_golden(after[1].view_as(maps), golden("adcam")[f"{grid}_noref_T2"], 1e-9)


def test_recorded_conformer_attention(golden):
    A, maps = recorded(golden, "conf_a_A"), recorded(golden, "conf_a_M0")
    spread = diffuse(maps.flatten(1), refine_attention(A, 15), 2, direction="hand_on").view_as(maps)
    assert_close_to_golden(spread, golden("adcam")["conf_a_T2"], 1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_a_row_without_attention_becomes_the_identity(golden, k):
    A = recorded(golden, "zr_A")
    refined = refine_attention(A, k)
    assert_close_to_golden(refined, golden("adcam")[f"zr_k{k}_Atilde"], 1e-9)
    cached = transition_from_neighbours(*nearest_coneighbours(A, 3), k)
    assert torch.equal(cached.to_dense(), refined)


def test_theorem_similarity_is_the_jaccard_index_of_equal_sets(golden):
    arrays = golden("adcam")
    rows = torch.tensor(arrays["thm_A"])
    square = torch.zeros(30, 30, dtype=torch.float64)
    square[: len(rows)] = rows
    similarity = coneighbour_similarity(square)[: len(rows), : len(rows)].numpy()
    pairs = arrays["thm_pairs"]
    jaccard = arrays["thm_jaccard"][pairs[:, 0], pairs[:, 1]]
    assert_close_to_golden(similarity[pairs[:, 0], pairs[:, 1]], 2 * jaccard / (1 + jaccard), 1e-9)


@pytest.mark.parametrize("k", [1, 7, 0.1, 500])
@pytest.mark.parametrize("soft", [False, True])
def test_refined_rows_sum_to_one_over_at_most_k(attention, k, soft):
    refined = refine_attention(attention, k, soft=soft)
    torch.testing.assert_close(refined.sum(1), torch.ones_like(refined[0]))
    assert (refined > 0).sum(1).unique().tolist() == [min(7 if k == 0.1 else k, 70)]
    assert (refined.diagonal() > 0).all()


def test_soft_refinement_weighs_by_similarity(attention):
    similarity = coneighbour_similarity(attention)
    kept = refine_attention(attention, 9) > 0
    expected = normalise_rows(attention * similarity * kept)
    torch.testing.assert_close(refine_attention(attention, 9, soft=True), expected)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_zero_steps_are_the_identity(attention, direction):
    maps = torch.rand(2, 70).to(attention)
    assert torch.equal(diffuse(maps, attention, 0, direction=direction), maps)
    assert attended(maps, attention, 0, direction=direction).shape == (0, 2, 70)


@pytest.mark.parametrize("steps", [1, 8])
def test_handing_on_conserves_activation(attention, steps):
    maps = torch.rand(3, 70).to(attention)
    spread = diffuse(maps, refine_attention(attention, 9), steps, direction="hand_on")
    torch.testing.assert_close(spread.sum(1), maps.sum(1))


@pytest.mark.parametrize("steps", [1, 8])
def test_gathering_stays_between_the_smallest_and_the_largest_value(attention, steps):
    maps, refined = torch.rand(3, 70).to(attention), refine_attention(attention, 9)
    spread = diffuse(maps, refined, steps)
    assert (spread.amin(1) >= maps.amin(1) - 1e-6).all() and (spread.amax(1) <= maps.amax(1) + 1e-6).all()
    constant = torch.full_like(maps, 0.7)
    torch.testing.assert_close(diffuse(constant, refined, steps), constant)
    assert not torch.allclose(diffuse(constant, refined, steps, direction="hand_on"), constant)


def test_the_letter_moves_nothing(attention):
    maps, refined = torch.rand(3, 70).to(attention), refine_attention(attention, 9)
    maps[:, ::2] = 0
    spread = diffuse(maps, refined, 2, direction="literal")
    assert (spread[:, ::2] == 0).all()
    torch.testing.assert_close(spread, maps * refined.sum(0) ** 2)
    both_ways = torch.full_like(attention, 1 / 70)  # what each token receives is 1, as what it gives
    torch.testing.assert_close(diffuse(maps, both_ways, 3, direction="literal"), maps)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_agrees_with_loops_over_tokens(direction, sparse):
    generator = torch.Generator().manual_seed(4)
    A = (4 * torch.rand(13, 13, generator=generator, dtype=torch.float64)).softmax(1)
    index, values = nearest_coneighbours(A, 5)
    refined = transition_from_neighbours(index, values, 5, direction=direction)
    refined = refined if sparse else refined.to_dense()
    maps = torch.rand(2, 13, generator=generator, dtype=torch.float64)
    weights, expected = refine_attention(A, 5).tolist(), maps.tolist()
    for _ in range(3):
        before = expected
        expected = [[0.0] * 13 for _ in range(2)]
        for k in range(2):
            for i in range(13):
                for j in range(13):
                    expected[k][i] += {
                        "gather": weights[i][j] * before[k][j],
                        "hand_on": weights[j][i] * before[k][j],
                        "literal": weights[j][i] * before[k][i],
                    }[direction]
    found = diffuse(maps, refined, 3, direction=direction)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_step_along_the_attention_is_a_diffusion(attention, direction):
    maps = torch.rand(2, 70).to(attention)
    after = attended(maps, attention, 3, direction=direction)
    for steps, found in enumerate(after, start=1):
        torch.testing.assert_close(found, diffuse(maps, attention, steps, direction=direction))


@pytest.mark.parametrize("built_for", DIRECTIONS)
@pytest.mark.parametrize("k", [1, 20, 30, 0.2])
def test_the_cache_gives_the_dense_refinement(attention, k, built_for):
    maps = torch.rand(3, 70).to(attention)
    cached = transition_from_neighbours(*nearest_coneighbours(attention, 30), k, direction=built_for)
    dense = refine_attention(attention, k)
    assert cached.layout == LAYOUTS[built_for] and torch.equal(cached.to_dense(), dense)
    for direction in DIRECTIONS:  # also those that the layout does not serve
        found = diffuse(maps, cached, 3, direction=direction)
        torch.testing.assert_close(found, diffuse(maps, dense, 3, direction=direction))


def test_the_cache_in_half_precision_stays_near(attention):
    index, values = nearest_coneighbours(attention, 30)
    halved = transition_from_neighbours(index, values.half().to(values), 20).to_dense()
    torch.testing.assert_close(halved, refine_attention(attention, 20), rtol=2e-3, atol=1e-6)


def test_a_cache_of_all_tokens_serves_every_k(attention):
    whole = transition_from_neighbours(*nearest_coneighbours(attention, 500), 500)
    torch.testing.assert_close(whole.to_dense(), attention)


def test_neighbours_fall_in_similarity_and_begin_with_the_token(attention):
    index, values = nearest_coneighbours(attention, 12)
    assert torch.equal(index[:, 0], torch.arange(70, device=index.device))
    assert torch.equal(values, attention.gather(1, index))
    ranked = coneighbour_similarity(attention).gather(1, index)
    assert (ranked.diff(dim=1) <= 1e-6).all()


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_equals_are_ranked_by_index_after_the_token(count):
    same = torch.full((6, 6), 1 / 6)
    index, _ = nearest_coneighbours(same, count)
    expected = [[i, *(j for j in range(6) if j != i)][:count] for i in range(6)]
    assert index.tolist() == expected


def test_blocks_of_rows_do_not_change_the_ranking(attention, dtype, monkeypatch):
    whole, _ = nearest_coneighbours(attention, 12)
    monkeypatch.setattr(diffusion, "ROWS", 16)
    blocked, values = nearest_coneighbours(attention, 12)
    # A product of another shape is rounded otherwise: tokens nearer than that may change places.
    similarity = coneighbour_similarity(attention)
    tolerance = 4 * torch.finfo(dtype).eps
    expected = similarity.gather(1, whole)
    torch.testing.assert_close(similarity.gather(1, blocked), expected, rtol=0, atol=tolerance)
    assert torch.equal(values, attention.gather(1, blocked))
    assert (blocked == whole).float().mean() > 0.95


@pytest.mark.parametrize(
    ("k", "tokens", "expected"), [(50, 576, 50), (50, 36, 36), (0.1, 576, 58), (0.001, 9, 1)]
)
def test_token_count(k, tokens, expected):
    assert token_count(k, tokens) == expected


@pytest.mark.parametrize(("tokens", "expected"), [(40, 40), (400, 100), (576, 115), (2304, 461)])
def test_a_number_and_a_share_are_cached_at_once(tokens, expected):
    assert cached_count(CachedNeighbours(at_least=100, fraction=0.2), tokens) == expected
    assert cached_count(100, tokens) == min(100, tokens)
    assert cached_count(0.2, tokens) == round(0.2 * tokens)


@pytest.mark.parametrize("k", [0, -3, 1.0, 2.5, 0.0])
def test_token_count_refuses(k):
    with pytest.raises(ValueError, match=f"found {k}"):
        token_count(k, 36)


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"A: expected \(N, N\), found \(3, 4\)"):
        coneighbour_similarity(torch.rand(3, 4))
    with pytest.raises(ValueError, match=r"A: expected \(N, N\), found \(2, 3, 3\)"):
        refine_attention(torch.rand(2, 3, 3), 2)
    with pytest.raises(ValueError, match=r"maps: expected \(K, N\), found \(2, 3, 3\)"):
        diffuse(torch.rand(2, 3, 3), torch.rand(9, 9), 0)
    with pytest.raises(ValueError, match=r"transition: expected \(N, N\) = \(9, 9\), found \(8, 8\)"):
        diffuse(torch.rand(2, 9), torch.rand(8, 8), 2)
    with pytest.raises(ValueError, match="steps: expected 0 or more, found -1"):
        diffuse(torch.rand(2, 9), torch.rand(9, 9), -1)
    with pytest.raises(ValueError, match=r"found \(9, 4\) and \(9, 3\)"):
        transition_from_neighbours(torch.zeros(9, 4), torch.zeros(9, 3), 2)


@pytest.mark.parametrize("function", [diffuse, attended])
def test_refuses_other_directions(function):
    message = r"direction: expected one of \['gather', 'hand_on', 'literal'\], found 'giving'"
    with pytest.raises(ValueError, match=message):
        function(torch.rand(2, 9), torch.rand(9, 9), 2, direction="giving")
    with pytest.raises(ValueError, match=message):
        transition_from_neighbours(*nearest_coneighbours(HAND, 2), 2, direction="giving")


def test_refuses_more_co_neighbours_than_cached():
    lists = nearest_coneighbours(HAND, 2)
    with pytest.raises(ValueError, match="at most the 2 cached co-neighbours, found 3"):
        transition_from_neighbours(*lists, 50)
