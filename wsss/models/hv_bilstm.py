"""HV-BiLSTM: every patch reads its row and its column (APC, section 3.2)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


class HVBiLSTM(nn.Module):
    """One bidirectional LSTM along the rows of the patch grid, one along its columns, side by side.

    All rows share one LSTM, all columns the other. A patch's output depends on its own row and column only.
    For D = 768 it has 2,955,264 parameters.

    Args:
        dim: Features D of a patch.
        lstm: Units of one direction; two axes of two directions must give D again, so D / 4.
        dropout: Share of the input features that training sets to zero.
        lstm_dropout: Share that it then sets to zero of what each of the two LSTMs reads, drawn for each
            (Keras's ``LSTM(dropout=...)``).
        initial: Key of ``INITIAL``: how the LSTMs' weights are drawn.
    """

    def __init__(
        self, dim: int, lstm: int, dropout: float, lstm_dropout: float = 0.0, initial: str = "torch"
    ) -> None:
        super().__init__()
        if initial not in INITIAL:
            raise ValueError(f"lstm_initial: expected one of {list(INITIAL)}, found {initial!r}")
        if 4 * lstm != dim:
            raise ValueError(f"lstm: expected a quarter of the {dim} features, found {lstm}")
        self.dropout = nn.Dropout(dropout)
        self.rows = nn.LSTM(dim, lstm, batch_first=True, bidirectional=True)
        self.columns = nn.LSTM(dim, lstm, batch_first=True, bidirectional=True)
        self.lstm_dropout = nn.Dropout(lstm_dropout)
        for layer in (self.rows, self.columns):
            INITIAL[initial](layer)

    def forward(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Let each patch read its row and its column.

        Args:
            features: Features of the patches, row after row, (B, N, D).
            grid: Rows and columns (h, w) of the patches, h * w = N.

        Returns:
            (B, N, D): forward and backward along the row, then downward and upward along the column.

        Raises:
            ValueError: If the patches do not fill the grid.
        """
        if features.ndim != 3 or features.shape[1] != grid[0] * grid[1]:
            raise ValueError(f"features: expected (B, {grid[0] * grid[1]}, D), found {tuple(features.shape)}")
        patches = self.dropout(features).unflatten(1, grid)  # (B, h, w, D)
        across = _read(self.rows, self.lstm_dropout(patches))
        down = _read(self.columns, self.lstm_dropout(patches).transpose(1, 2)).transpose(1, 2)
        return torch.cat((across, down), dim=-1).flatten(1, 2)  # (B, N, D)


def _read(lstm: nn.LSTM, lines: Tensor) -> Tensor:
    """Run a bidirectional LSTM along each line: (B, lines, length, D) to (B, lines, length, D / 2)."""
    return lstm(lines.flatten(0, 1))[0].unflatten(0, lines.shape[:2])


@torch.no_grad()
def draw_as_keras(lstm: nn.LSTM) -> None:
    """Draw an LSTM's weights as Keras does, in place: nothing is forgotten at first.

    Orthogonal between states, Glorot's uniform from the input, biases 0 but for the forget gate's, which is
    1. Torch keeps two biases a gate and adds them: the second one is 0.
    """
    units = lstm.hidden_size
    for name, value in lstm.named_parameters():
        if name.startswith("weight_hh"):
            nn.init.orthogonal_(value)  # (4 units, units): the columns are orthonormal, as Keras's rows
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(value)  # (4 units, D), all gates together
        else:
            nn.init.zeros_(value)
        if name.startswith("bias_ih"):
            value[units : 2 * units] = 1.0  # torch's order: input, forget, cell, output


INITIAL: Mapping[str, Callable[[nn.LSTM], None]] = {"torch": lambda lstm: None, "keras": draw_as_keras}
"""How an LSTM's weights are drawn; ``torch`` leaves its own, uniform within 1 / sqrt(units)."""
