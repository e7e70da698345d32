"""HV-BiLSTM on square grids of one size, in a form that exporters of graphs can follow."""

import torch
from torch import Tensor, nn

from wsss.models.hv_bilstm import HVBiLSTM


class SquareLSTM(nn.Module):
    """The network's HV-BiLSTM on a square grid, without a shape or a device that an exporter would fix.

    Args:
        trained: The network's own.
        cells: Patches on each side of the grid.
    """

    def __init__(self, trained: HVBiLSTM, cells: int) -> None:
        super().__init__()
        self.rows, self.columns = trained.rows, trained.columns
        self.cells, self.units = cells, trained.rows.hidden_size

    def forward(self, features: Tensor, _: tuple[int, int]) -> Tensor:
        """As :meth:`wsss.models.hv_bilstm.HVBiLSTM.forward`."""
        patches = features.reshape(-1, self.cells, self.cells, 4 * self.units)  # (B, h, w, D)
        across = self._read(self.rows, patches)
        down = self._read(self.columns, patches.transpose(1, 2)).transpose(1, 2)
        return torch.cat((across, down), dim=-1).flatten(1, 2)  # (B, N, D)

    def _read(self, lstm: nn.LSTM, lines: Tensor) -> Tensor:
        """(B, lines, length, D) to (B, lines, length, D / 2)."""
        sequences = lines.flatten(0, 1)  # (B * lines, length, D)
        zeros = sequences[:, 0, : self.units] * 0  # on the input's device; zeros_like becomes a constant
        state = torch.stack((zeros, zeros))
        return lstm(sequences, (state, state))[0].reshape(-1, self.cells, self.cells, 2 * self.units)
