"""Recorded numbers to test against, how to load them and the rule by which they are compared."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

FOLDER = Path(__file__).parent


@cache
def load(name: str) -> dict[str, np.ndarray]:
    """Read the arrays of ``<name>.npz``; callers must not write into them."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def deviation(value: ArrayLike | torch.Tensor, expected: ArrayLike) -> float:
    """Largest absolute difference over the largest expected magnitude; NaN must be at the same places."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    found, wanted = np.asarray(value, np.float64), np.asarray(expected, np.float64)
    assert found.shape == wanted.shape, f"expected shape {wanted.shape}, found {found.shape}"
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    scale = np.nanmax(np.abs(wanted), initial=0.0) or 1.0
    return float(np.nanmax(np.abs(found - wanted), initial=0.0) / scale)


def assert_close_to_golden(value: ArrayLike | torch.Tensor, expected: ArrayLike, tol: float) -> None:
    """Fail unless ``max|value - expected| / max|expected| <= tol`` over the whole array."""
    found = deviation(value, expected)
    assert found <= tol, f"deviates by {found:.3g} of the largest expected value, allowed {tol:.3g}"
