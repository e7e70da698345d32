"""Fixtures for all tests."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.golden import load
from tests.support.faults import row_of, shows

LONGEST = ("test_end_to_end.py", "test_sample.py", "test_kill.py", "test_slurm.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no process waits for one at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


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


@pytest.fixture
def quoted(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Check that an output shows every message quoted by the running test's row in docs/operations.md."""
    name = f"{request.path.relative_to(request.config.rootpath / 'tests')}::{request.node.originalname}"
    messages = row_of(name).messages()
    assert messages

    def check(output: str) -> None:
        assert [message for message in messages if not shows(output, message)] == [], output

    return check
