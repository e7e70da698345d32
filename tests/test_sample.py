"""The sample from nothing to its scores, as `make demo` runs it."""

import json
from pathlib import Path

import pytest

from tests.support.chain import BEFORE_DIFFUSION, FOLLOWING
from tests.support.tiny_run import ROOT, TARGETS, run, session_checkout

RECORDED = ROOT / "tests" / "golden" / "sample_metrics.json"
DATA_SET_THRESHOLD = {"count_values", "choose_threshold"}  # its thresholds are each image's own
STAGES = ("seed", "refined", "pseudo", "segmentation")


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the sample was run."""
    folder = tmp_path_factory.mktemp("sample")
    run(session_checkout(tmp_path_factory), folder, "--cores", "2", *TARGETS)
    return folder


def test_the_sample_ends_in_scores_and_a_picture(sample_run: Path) -> None:
    summary = json.loads((sample_run / TARGETS[0]).read_text())
    assert summary["dataset"] == "sample"
    assert summary["runs"] == [0]
    assert summary["pixel_labels_used"] is False
    assert set(summary["stages"]) == set(STAGES)
    for stage in STAGES:
        scores = summary["stages"][stage]
        assert 0 < scores["miou"]["mean"] < 1
        assert len(scores["per_class"]) == 6
    assert summary["stages"]["segmentation"]["images"] == 60
    assert (sample_run / TARGETS[1]).read_bytes().startswith(b"\x89PNG")


def test_the_sample_logs_and_times_every_stage(sample_run: Path) -> None:
    logs = {path.name for path in (sample_run / "results" / "logs").iterdir()}
    assert logs == {path.name for path in (sample_run / "results" / "benchmarks").iterdir()}
    assert logs == (BEFORE_DIFFUSION | FOLLOWING) - DATA_SET_THRESHOLD


def test_the_sample_scores_as_recorded(sample_run: Path) -> None:
    summary = json.loads((sample_run / TARGETS[0]).read_text())
    recorded = json.loads(RECORDED.read_text())  # another processor's rounding was seen to move 4 points
    found = {stage: summary["stages"][stage]["miou"]["mean"] for stage in STAGES}
    assert found == pytest.approx(recorded["miou"], abs=recorded["tolerance"])
