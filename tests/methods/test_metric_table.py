"""The table of scores: one entry is all that a further score needs."""

import subprocess
import sys

import numpy as np
import pytest

from wsss.evaluation.counts import score_fields
from wsss.methods.metric_table import METRICS, SHOWN, Metric, column_name
from wsss.methods.metrics import scores


def test_a_further_score_is_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    least = Metric("worst IoU", "high", lambda shares: np.nan_to_num(shares.iou, nan=1).min(), shown=True)
    monkeypatch.setitem(METRICS, "worst_iou", least)
    matrix = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])  # IoU 3/4, 2/3 and none
    assert scores(matrix).means["worst_iou"] == pytest.approx(2 / 3)
    assert score_fields(matrix, ["background", "cat", "dog"])["worst_iou"] == pytest.approx(2 / 3)


def test_what_is_shown_and_how_its_columns_are_called() -> None:
    assert [(column_name(name), metric.title, metric.better) for name, metric in SHOWN.items()] == [
        ("miou", "mIoU", "high"),
        ("fp", "FP", "low"),
        ("fn", "FN", "low"),
    ]


def test_titles_are_read_without_torch() -> None:
    code = "import sys, wsss.methods.metric_table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
