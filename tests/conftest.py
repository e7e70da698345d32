"""Fixtures for all tests."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.golden import load


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that no process waits for it at the end."""
    items.sort(key=lambda item: item.path.name != "test_end_to_end.py")


@pytest.fixture
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """``golden("irn")["r5_edge"]``: recorded arrays by file and name (see tests/golden/README.md)."""
    return load


@pytest.fixture(params=["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device of this machine in turn."""
    return torch.device(request.param)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """Both floating point types that the methods support."""
    return request.param
