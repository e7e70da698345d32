"""Terms of a loss that never acted."""

from pathlib import Path

import pandas as pd
import pytest

from wsss.artefacts.formats import write_table
from wsss.training.idle_terms import warn_of_idle_terms


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.csv"
    write_table(path, pd.DataFrame({"a_loss": [1.0, 0.5], "b_loss": [0.0, 0.25], "c_loss": [0.0, 0.0]}))
    return path


def test_a_term_that_was_always_0_is_said(history: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert warn_of_idle_terms(history, {"a_loss": 1.0, "b_loss": 0.1, "c_loss": 0.2}) == ["c_loss"]
    assert "c_loss was 0 in all 2 updates although its weight is 0.2" in caplog.text


def test_a_term_without_weight_is_none(history: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert warn_of_idle_terms(history, {"b_loss": 0.1, "c_loss": 0.0}) == []
    assert not caplog.text
