"""Scores beside the noise between runs."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind

from tests.support.runs import Run
from wsss.artefacts.formats import write_json
from wsss.diff.metrics import EQUAL, INSIDE, OUTSIDE, UNKNOWN, Score, compare_scores
from wsss.diff.pairing import find_units


def score(a: list[float], b: list[float]) -> Score:
    return Score("chain", "", "miou", a, b)


def test_noise_by_hand() -> None:
    # pooled variance (0.005 + 0.005) / 2, two runs a side: sqrt(0.005 * (1/2 + 1/2)) times t of 2 degrees
    assert score([0.4, 0.5], [0.5, 0.6]).noise == pytest.approx(4.302653 * math.sqrt(0.005))
    # one side's noise serves for the other: variance 0.005, sqrt(0.005 * (1/2 + 1)), t of 1 degree
    assert score([0.4, 0.5], [0.7]).noise == pytest.approx(12.706205 * math.sqrt(0.0075))
    assert score([0.4], [0.7]).noise is None


def test_the_verdict_is_that_of_the_t_test() -> None:
    rng = np.random.default_rng(0)
    outside = 0
    for _ in range(200):
        a, b = rng.normal(0.5, 0.01, 3), rng.normal(0.51, 0.01, 4)
        found = score(a.tolist(), b.tolist()).verdict
        assert (found == OUTSIDE) == (ttest_ind(a, b).pvalue < 0.05)
        outside += found == OUTSIDE
    assert 10 < outside < 190


def test_verdicts() -> None:
    assert score([0.5, 0.6], [0.6, 0.5]).verdict == EQUAL
    assert score([0.50, 0.52, 0.54], [0.51, 0.53, 0.55]).verdict == INSIDE
    assert score([0.50, 0.51, 0.50], [0.60, 0.61, 0.60]).verdict == OUTSIDE
    assert score([0.5], [0.6]).verdict == UNKNOWN
    assert score([0.5], [0.5]).verdict == EQUAL


def test_runs_of_one_chain_are_one_score(tmp_path: Path) -> None:
    a = Run(tmp_path / "a", miou={0: 0.50, 1: 0.52}).write()
    b = Run(tmp_path / "b", miou={0: 0.51, 1: 0.53, 2: 0.52}).write()
    found = [entry for entry in compare_scores(find_units(a, b)) if entry.name == "miou"]
    assert len(found) == 1
    assert found[0].chain == "small/adcam/none/pseudo_miou.json"
    assert (found[0].a, found[0].b) == ([0.50, 0.52], [0.51, 0.53, 0.52])
    assert found[0].difference == pytest.approx(0.01)
    assert found[0].verdict == INSIDE


def test_summaries_alone_have_their_stages(tmp_path: Path) -> None:
    for name, miou in (("a", 0.5), ("b", 0.6)):
        data = Run(tmp_path / name, miou={0: miou, 1: miou + 0.01}).write()
        (tmp_path / f"{name}.json").write_bytes((data / "seg_miou.json").read_bytes())
    found = compare_scores(find_units(tmp_path / "a.json", tmp_path / "b.json"))
    assert {entry.part for entry in found} == {"segmentation"}
    assert next(entry for entry in found if entry.name == "miou").a == [0.5, 0.51]


def test_other_inferences_and_the_fixed_threshold_are_scores_of_their_own(tmp_path: Path) -> None:
    def write(name: str, miou: float) -> Path:
        inferences = {"one": {"miou": 9.0}, "two": {"miou": miou}}
        more = {"inference": "one", "inferences": inferences, "configured": {"miou": miou / 2}}
        more["rules"] = {"otsu": {"miou": miou / 4}}
        write_json(tmp_path / name, {"form": "scores", "run": 0, "miou": 9.0, **more})
        return tmp_path / name

    found = compare_scores(find_units(write("a.json", 0.4), write("b.json", 0.6)))
    assert {(entry.part, entry.a[0], entry.b[0]) for entry in found} == {
        ("", 9.0, 9.0),
        ("inference two", 0.4, 0.6),
        ("at the configured threshold", 0.2, 0.3),
        ("by rule otsu", 0.1, 0.15),
    }


def test_what_was_not_scored_is_left_out(tmp_path: Path) -> None:
    for name, miou in (("a", None), ("b", 0.5)):
        write_json(tmp_path / f"{name}.json", {"form": "scores", "run": 0, "miou": miou})
    assert compare_scores(find_units(tmp_path / "a.json", tmp_path / "b.json")) == []
