import pytest
import torch

from tests.golden import assert_close_to_golden
from tests.support.memory import Peak
from wsss.methods import attention as attention_module
from wsss.methods.attention import aggregate_attention, class_attention, feature_affinity, transcam

HAND = torch.tensor(
    [[[0.2, 0.4, 0.4], [0.5, 0.1, 0.4], [0.0, 0.5, 0.5]], [[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.5, 0.5, 0.0]]]
)


def stored(arrays, grid, dtype):
    weights = torch.tensor(arrays[f"{grid}_attn_weights"], dtype=dtype)
    return (weights / weights.sum(-1, keepdim=True)).mean(1)  # over heads


def coupling(golden, grid, dtype):
    """Attention (L, N+1, N+1) and maps (K, h, w) that recorded couplings were made of."""
    arrays, recorded = golden("coupling"), golden("conformer")
    if grid == "rect":
        weights = torch.tensor(arrays["rect_attn_weights"], dtype=dtype)
        return weights / weights.sum(-1, keepdim=True), torch.tensor(arrays["rect_M"], dtype=dtype)
    classes = torch.tensor(arrays["conf_classes"]).long()
    maps = torch.tensor(recorded["a_trunc_cam_eq2"], dtype=dtype).reshape(-1, 6, 8)
    return torch.tensor(recorded["a_attn"][:11, 0], dtype=dtype), maps[classes]


def test_hand_case_renormalises_each_block():
    expected = torch.tensor([[(0.2 + 0.75) / 2, (0.8 + 0.25) / 2], [0.75, 0.25]])
    torch.testing.assert_close(aggregate_attention(HAND), expected)


def test_hand_case_renormalises_the_mean():
    expected = torch.tensor([[0.7 / 1.3, 0.6 / 1.3], [1 / 1.5, 0.5 / 1.5]])
    torch.testing.assert_close(aggregate_attention(HAND, per_block=False), expected)


def test_hand_case_of_the_class_token():
    torch.testing.assert_close(class_attention(HAND), torch.tensor([0.7, 0.5]))


@pytest.mark.parametrize("grid", ["g5x7", "g12x9"])
def test_agrees_with_the_recorded_attention(golden, grid, dtype, device):
    attention = stored(golden("adcam"), grid, dtype).to(device)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    assert_close_to_golden(aggregate_attention(attention), golden("adcam")[f"{grid}_A"], tolerance)
    assert_close_to_golden(
        aggregate_attention(attention[:1]), golden("adcam")[f"{grid}_A_layers_0"], tolerance
    )
    assert aggregate_attention(attention).dtype == dtype


@pytest.mark.parametrize("grid", ["rect", "conf"])
def test_class_attention_couples_maps_as_tscam_does(golden, grid, dtype):
    attention, maps = coupling(golden, grid, dtype)
    coupled = class_attention(attention).view(maps.shape[1:]) * maps
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    assert_close_to_golden(coupled, golden("coupling")[f"{grid}_tscam"], tolerance)


def test_transcam_by_hand():
    maps = torch.tensor([[1.0, -2.0]])  # gathered: first token 0.1 + 0.6 of 1 and 0.4 + 0.2 of -2
    torch.testing.assert_close(transcam(maps, HAND), torch.tensor([[0.7 - 1.2, 1.0 - 1.0]]))


@pytest.mark.parametrize("grid", ["rect", "conf"])
def test_agrees_with_the_recorded_transcam(golden, grid, dtype, device):
    attention, maps = coupling(golden, grid, dtype)
    found = transcam(maps.flatten(1).to(device), attention.to(device)).view_as(maps)
    tolerance = 1e-9 if dtype == torch.float64 else 5e-5
    assert_close_to_golden(found, golden("coupling")[f"{grid}_transcam"], tolerance)


def test_transcam_agrees_with_loops():
    generator = torch.Generator().manual_seed(2)
    attention = torch.rand(3, 8, 8, generator=generator, dtype=torch.float64).softmax(-1)
    maps = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    expected = torch.zeros_like(maps)
    for block in attention:
        for p in range(7):
            for q in range(7):
                expected[:, p] += block[1 + p, 1 + q] * maps[:, q]
    torch.testing.assert_close(transcam(maps, attention), expected, rtol=0, atol=1e-13)


def test_transcam_is_not_renormalised():
    attention = torch.rand(3, 8, 8).softmax(-1)
    given = transcam(torch.ones(1, 7), attention)
    torch.testing.assert_close(given[0], 3 - attention[:, 1:, 0].sum(0))  # what the class token got is lost


def test_transcam_refuses_maps_on_another_grid():
    with pytest.raises(ValueError, match=r"maps: expected \(K, N\) with N = 2, found \(1, 3\)"):
        transcam(torch.rand(1, 3), HAND)


def test_affinity_of_features_by_hand():
    # Cosines: 1 on the diagonal, 0.8 between the first two, 0 with the third; their mean is 4.6 / 9.
    features = torch.tensor([[2.0, 0, 0], [0.8, 0.6, 0], [0, 0, 5]], dtype=torch.float64)
    floor = 1.2 * 4.6 / 9
    own, other = torch.tensor([3 * (1 - floor), 3 * (0.8 - floor)]).double().softmax(0)
    expected = torch.tensor([[own, other, 0], [other, own, 0], [0, 0, 1]]).double()
    torch.testing.assert_close(
        feature_affinity(features, beta=1.2, gamma=3.0), expected, rtol=1e-7, atol=1e-7
    )


@pytest.fixture
def features(dtype, device):
    generator = torch.Generator().manual_seed(3)
    return (torch.randn(60, 12, generator=generator, dtype=dtype) + 0.5).to(device)


@pytest.mark.parametrize(("beta", "gamma"), [(1.2, 3.0), (0.0, 1.0), (2.0, 10.0)])
def test_affinity_of_features_agrees_with_loops(features, beta, gamma):
    rows = features.double().cpu()
    cosine = torch.zeros(60, 60, dtype=torch.float64)
    for i, one in enumerate(rows):
        for j, other in enumerate(rows):
            cosine[i, j] = (one @ other) / (one.norm() * other.norm())
    excess = cosine - beta * cosine.mean()
    expected = torch.zeros_like(cosine)
    for i in range(60):
        kept = [j for j in range(60) if excess[i, j] >= 0]
        total = sum(torch.exp(gamma * excess[i, j]) for j in kept)
        for j in kept:
            expected[i, j] = torch.exp(gamma * excess[i, j]) / total
    found = feature_affinity(features, beta=beta, gamma=gamma)
    assert found.dtype == features.dtype
    tolerance = 1e-12 if features.dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.double().cpu(), expected, rtol=0, atol=tolerance)


def test_affinity_of_features_rows_sum_to_one_whatever_their_length(features, monkeypatch):
    affinity = feature_affinity(features, beta=1.2, gamma=3.0)
    torch.testing.assert_close(affinity.sum(1), torch.ones_like(affinity[0]))
    lengths = torch.linspace(0.5, 9, 60)[:, None].to(features)
    torch.testing.assert_close(feature_affinity(lengths * features, beta=1.2, gamma=3.0), affinity)
    monkeypatch.setattr(attention_module, "ROWS", 16)
    torch.testing.assert_close(feature_affinity(features, beta=1.2, gamma=3.0), affinity)


def test_rows_that_keep_nothing_become_the_identity():
    alike = torch.ones(4, 3)  # the mean of S is 1: all lies below 1.2 times it
    assert torch.equal(feature_affinity(alike, beta=1.2, gamma=3.0), torch.eye(4))
    empty = torch.tensor([[1.0, 0], [1, 0.1], [0, 0]])  # the last has no direction, S = 0 with all
    assert feature_affinity(empty, beta=1.0, gamma=3.0)[2].tolist() == [0, 0, 1]


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (0, 3), (3, 0)])
def test_affinity_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"features: expected \(N, D\), found \("):
        feature_affinity(torch.zeros(*shape), beta=1.2, gamma=3.0)


@pytest.mark.parametrize("per_block", [True, False])
def test_rows_sum_to_one(dtype, per_block):
    attention = torch.rand(3, 13, 13, dtype=dtype).softmax(-1)
    rows = aggregate_attention(attention, per_block=per_block).sum(1)
    torch.testing.assert_close(rows, torch.ones_like(rows))


def test_attention_to_the_class_token_alone_gives_a_row_of_zeros():
    attention = torch.tensor([[[1.0, 0, 0], [1, 0, 0], [0, 0.5, 0.5]]])
    torch.testing.assert_close(aggregate_attention(attention), torch.tensor([[0, 0], [0.5, 0.5]]))


@pytest.mark.parametrize(
    "function",
    [aggregate_attention, class_attention, lambda attention: transcam(torch.rand(1, 3), attention)],
)
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 4), (2, 1, 1)])
def test_refuses_other_shapes(function, shape):
    with pytest.raises(
        ValueError, match=r"attention: expected \(L, N\+1, N\+1\), found \(" + f"{shape[0]}, "
    ):
        function(torch.rand(*shape))


@pytest.mark.parametrize("per_block", [True, False])
def test_the_blocks_are_not_copied(per_block):
    attention = torch.rand(12, 41, 41).softmax(-1)
    with Peak(attention) as peak:
        aggregate_attention(attention, per_block=per_block)
    assert peak.bytes < 4 * 40 * 40 * 4  # four matrices (N, N)


def test_transcam_copies_no_block():
    attention, maps = torch.rand(12, 121, 121).softmax(-1), torch.rand(2, 120)
    with Peak(attention, maps) as peak:
        transcam(maps, attention)
    assert peak.bytes < 4 * 120 * 120  # one matrix (N, N)
