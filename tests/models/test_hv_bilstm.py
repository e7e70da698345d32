"""HV-BiLSTM: rows and columns of the patch grid."""

import math

import pytest
import torch
from torch import Tensor, nn

from wsss.models.hv_bilstm import HVBiLSTM

GRID = (3, 5)


@pytest.fixture
def module() -> HVBiLSTM:
    torch.manual_seed(0)
    return HVBiLSTM(8, 2, 0.2).double().eval()


@pytest.fixture
def features() -> Tensor:
    return torch.randn(2, 15, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_against_one_line_at_a_time(module: HVBiLSTM, features: Tensor) -> None:
    patches = features.unflatten(1, GRID)
    expected = torch.zeros_like(patches)
    with torch.no_grad():
        for image in range(2):
            for row in range(GRID[0]):
                line = patches[image, row]  # (w, D)
                expected[image, row, :, :4] = module.rows(line[None])[0][0]
            for column in range(GRID[1]):
                line = patches[image, :, column]  # (h, D)
                expected[image, :, column, 4:] = module.columns(line[None])[0][0]
        torch.testing.assert_close(module(features, GRID), expected.flatten(1, 2))


def lstm(weights: dict[str, Tensor], suffix: str, line: Tensor) -> Tensor:
    """The equations of an LSTM, step by step: (T, D) to (T, units)."""
    inputs, states = weights[f"weight_ih_l0{suffix}"], weights[f"weight_hh_l0{suffix}"]
    bias = weights[f"bias_ih_l0{suffix}"] + weights[f"bias_hh_l0{suffix}"]
    state = cell = line.new_zeros(states.shape[1])
    outputs = []
    for x in line:
        write, keep, new, read = (inputs @ x + states @ state + bias).chunk(4)
        cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
        state = read.sigmoid() * cell.tanh()
        outputs.append(state)
    return torch.stack(outputs)


def test_order_of_the_four_directions(module: HVBiLSTM, features: Tensor) -> None:
    """Rightward, leftward, downward, upward, each by the equations, for the patch in row 1, column 3."""
    patches = features[0].unflatten(0, GRID)
    rows, columns = module.rows.state_dict(), module.columns.state_dict()
    row, column = patches[1], patches[:, 3]
    expected = [
        lstm(rows, "", row)[3],
        lstm(rows, "_reverse", row.flip(0)).flip(0)[3],
        lstm(columns, "", column)[1],
        lstm(columns, "_reverse", column.flip(0)).flip(0)[1],
    ]
    with torch.no_grad():
        torch.testing.assert_close(module(features, GRID)[0, 1 * 5 + 3], torch.cat(expected))


def test_a_patch_reaches_exactly_its_row_and_column(module: HVBiLSTM, features: Tensor) -> None:
    changed = features.clone()
    changed[1, 1 * 5 + 3] += 1.0  # row 1, column 3
    with torch.no_grad():
        moved = (module(changed, GRID) != module(features, GRID)).unflatten(1, GRID)  # (B, h, w, D)
    in_row, in_column = torch.zeros(2, *GRID, dtype=torch.bool), torch.zeros(2, *GRID, dtype=torch.bool)
    in_row[1, 1], in_column[1, :, 3] = True, True
    assert torch.equal(moved[..., :4].any(-1), in_row)
    assert torch.equal(moved[..., 4:].any(-1), in_column)


def test_dropout_acts_on_the_input_in_training_only(features: Tensor) -> None:
    module = HVBiLSTM(8, 2, 1.0).double()
    assert torch.equal(module(features, GRID), module(torch.zeros_like(features), GRID))
    module.eval()
    assert not torch.equal(module(features, GRID), module(torch.zeros_like(features), GRID))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_each_lstm_drops_its_own_inputs_in_training_only(features: Tensor, share: float) -> None:
    """With all else equal, an LSTM that reads zeros alone tells what was dropped."""
    torch.manual_seed(0)
    module = HVBiLSTM(8, 2, 0.0, share).double()
    torch.manual_seed(3)
    rows = torch.nn.functional.dropout(features.unflatten(1, GRID), share)
    columns = torch.nn.functional.dropout(features.unflatten(1, GRID), share)
    assert torch.equal(rows, columns) == (share == 0)
    expected = [
        module.rows(rows.flatten(0, 1))[0].unflatten(0, (2, 3)),
        module.columns(columns.transpose(1, 2).flatten(0, 1))[0].unflatten(0, (2, 5)).transpose(1, 2),
    ]
    torch.manual_seed(3)
    torch.testing.assert_close(module(features, GRID), torch.cat(expected, -1).flatten(1, 2))
    torch.testing.assert_close(module.eval()(features, GRID), _plain(module)(features, GRID))


def _plain(module: HVBiLSTM) -> HVBiLSTM:
    plain = HVBiLSTM(8, 2, 0.0).double().eval()
    plain.load_state_dict(module.state_dict())
    return plain


def test_lstms_drawn_as_keras_does() -> None:
    torch.manual_seed(0)
    module = HVBiLSTM(24, 6, 0.0, initial="keras").double()
    limit = (6 / (24 + 4 * 6)) ** 0.5  # Glorot: inputs and the outputs of all gates
    for name, value in [*module.rows.named_parameters(), *module.columns.named_parameters()]:
        if "weight_hh" in name:
            torch.testing.assert_close(value.T @ value, torch.eye(6, dtype=torch.float64), atol=1e-6, rtol=0)
        elif "weight_ih" in name:
            assert 0.9 * limit < value.abs().max() <= limit
            assert value.std().item() == pytest.approx(limit / 3**0.5, rel=0.1)
        elif "bias_ih" in name:
            assert value.tolist() == [0] * 6 + [1] * 6 + [0] * 12
        else:
            assert not value.any()


def test_a_new_lstm_of_keras_keeps_what_it_read_and_one_of_torch_half_of_it() -> None:
    """The forget gate of a state without input is sigmoid(bias)."""
    torch.manual_seed(0)
    for initial, kept in (("keras", 1 / (1 + math.exp(-1))), ("torch", 0.5)):
        module = HVBiLSTM(400, 100, 0.0, initial=initial)
        bias = module.rows.bias_ih_l0 + module.rows.bias_hh_l0
        assert bias[100:200].sigmoid().mean().item() == pytest.approx(kept, abs=0.03)


def test_torch_s_drawing_is_unchanged() -> None:
    torch.manual_seed(0)
    module = HVBiLSTM(8, 2, 0.2)
    torch.manual_seed(0)
    expected = [nn.LSTM(8, 2, batch_first=True, bidirectional=True) for _ in range(2)]
    for layer, other in zip((module.rows, module.columns), expected, strict=True):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in layer.state_dict().items())


def test_parameters_at_the_papers_size() -> None:
    with torch.device("meta"):
        module = HVBiLSTM(768, 192, 0.2)
    assert sum(parameter.numel() for parameter in module.parameters()) == 2_955_264  # "2.95 M"


def test_every_parameter_learns(module: HVBiLSTM, features: Tensor) -> None:
    module(features, GRID).sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_single_patch(module: HVBiLSTM) -> None:
    assert module(torch.ones(1, 1, 8, dtype=torch.float64), (1, 1)).shape == (1, 1, 8)


def test_bad_sizes_are_refused(module: HVBiLSTM, features: Tensor) -> None:
    with pytest.raises(ValueError, match="expected a quarter of the 8 features, found 3"):
        HVBiLSTM(8, 3, 0.2)
    with pytest.raises(ValueError, match=r"lstm_initial: expected one of \['torch', 'keras'\], found 'jax'"):
        HVBiLSTM(8, 2, 0.2, initial="jax")
    with pytest.raises(ValueError, match=r"expected \(B, 16, D\), found \(2, 15, 8\)"):
        module(features, (4, 4))
    with pytest.raises(ValueError, match=r"found \(15, 8\)"):
        module(features[0], GRID)


def test_it_is_made_of_two_lstms(module: HVBiLSTM) -> None:
    """Weights are shared by all rows and by all columns, but not between the two."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.LSTM)]
    assert len(layers) == 2
    assert not torch.equal(layers[0].weight_ih_l0, layers[1].weight_ih_l0)
