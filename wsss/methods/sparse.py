"""Compressed sparse matrices, built without the warnings that their torch interface is young and trusting."""

import warnings

import torch
from torch import Tensor


def compressed_rows(starts: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """Sparse CSR matrix.

    Args:
        starts: Where each row begins among the entries, and their number, (rows + 1,).
        columns: Column of each entry, ascending in a row, (E,).
        values: Entries, (E,).
        size: Number of rows and columns.

    Returns:
        Sparse matrix of ``size``.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR|CSC|invariant)")
        return torch.sparse_csr_tensor(starts, columns, values, size, check_invariants=False)


def compressed_columns(starts: Tensor, rows: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """Sparse CSC matrix; arguments as for :func:`compressed_rows` with rows and columns swapped."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR|CSC|invariant)")
        return torch.sparse_csc_tensor(starts, rows, values, size, check_invariants=False)


def as_rows(matrix: Tensor) -> Tensor:
    """A matrix in the layout whose product with a dense one is fast: CSC becomes CSR, the rest stays."""
    return matrix.to_sparse_csr() if matrix.layout == torch.sparse_csc else matrix
