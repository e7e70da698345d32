import pytest
import torch

from tests.golden import assert_close_to_golden
from tests.memory import Peak
from wsss.methods.attention import aggregate_attention, class_attention

HAND = torch.tensor(
    [[[0.2, 0.4, 0.4], [0.5, 0.1, 0.4], [0.0, 0.5, 0.5]], [[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.5, 0.5, 0.0]]]
)


def stored(arrays, grid, dtype):
    weights = torch.tensor(arrays[f"{grid}_attn_weights"], dtype=dtype)
    return (weights / weights.sum(-1, keepdim=True)).mean(1)  # over heads


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


def test_class_attention_couples_maps_as_tscam_does(golden):
    arrays = golden("coupling")
    weights = torch.tensor(arrays["rect_attn_weights"]).double()
    coupled = class_attention(weights / weights.sum(-1, keepdim=True)).view(4, 7) * torch.tensor(
        arrays["rect_M"]
    )
    assert_close_to_golden(coupled, arrays["rect_tscam"], 1e-9)


@pytest.mark.parametrize("per_block", [True, False])
def test_rows_sum_to_one(dtype, per_block):
    attention = torch.rand(3, 13, 13, dtype=dtype).softmax(-1)
    rows = aggregate_attention(attention, per_block=per_block).sum(1)
    torch.testing.assert_close(rows, torch.ones_like(rows))


def test_attention_to_the_class_token_alone_gives_a_row_of_zeros():
    attention = torch.tensor([[[1.0, 0, 0], [1, 0, 0], [0, 0.5, 0.5]]])
    torch.testing.assert_close(aggregate_attention(attention), torch.tensor([[0, 0], [0.5, 0.5]]))


@pytest.mark.parametrize("function", [aggregate_attention, class_attention])
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
