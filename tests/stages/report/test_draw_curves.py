"""The threshold curve as a file."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from wsss.artefacts.formats import write_json, write_table
from wsss.stages.report import draw_curves

CONFIGURED = [
    {"threshold": 0.2},
    {"threshold": 0.15, "threshold_rule": "otsu", "threshold_deviation": 0.1},
    {"threshold": None, "threshold_rule": "otsu", "threshold_deviation": None},
]


@pytest.mark.parametrize("configured", CONFIGURED)
@pytest.mark.parametrize("miou", [0.4, None])
def test_curve_is_an_svg_and_the_same_twice(
    miou: float | None, configured: dict[str, Any], tmp_path: Path
) -> None:
    table = pd.DataFrame(
        {"threshold": [0.0, 0.1, 0.2], "miou": miou, "mean_fp": miou, "mean_fn": miou}, dtype=float
    )
    write_table(tmp_path / "curve.csv", table)
    scope = {"dataset": "tiny", "split": "masked", "images": 3}
    write_json(tmp_path / "scores.json", {**scope, "miou": miou, "threshold": 0.1, "configured": configured})
    for name in ("a.svg", "b.svg"):
        draw_curves.run(curve=tmp_path / "curve.csv", scores=tmp_path / "scores.json", figure=tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
