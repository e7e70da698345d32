"""Stages that count, score or tabulate start without torch, whose import takes longer than their work."""

import subprocess
import sys

import pytest

from tests.support.tiny_run import ROOT
from wsss.workflow.fingerprint import module_of

# They bring class maps to the images' size by torch.
UPSAMPLING = ("count_seeds", "make_pseudo_labels", "make_irn_labels")
TABLES = (
    "prepare_manifest",
    "convert_pictures",
    "render_masks",
    "select_training",
    "generate_sample",
    "copy_masks",
    "count_values",
    "choose_threshold",
    "count_pseudo",
    "count_predictions",
    "evaluate_seeds",
    "evaluate_pseudo",
    "evaluate_segmentation",
    "evaluate_single_stage",
    "summarise_runs",
    "summarise_single_stage",
    "tabulate_ablations",
    "tabulate_costs",
    "compare",
    "draw_curves",
)
HEAVY = ("torch", "timm", "mmengine", "mmseg")


def imported(*statements: str) -> set[str]:
    """The large libraries that a fresh process has imported after some statements."""
    code = "; ".join([*statements, "import sys", f"print(*set(sys.modules) & set({HEAVY}))"])
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize("stage", TABLES)
def test_a_stage_of_tables_imports_no_torch(stage: str) -> None:
    assert imported(f"import {module_of(stage, ROOT / 'wsss')}") == set()


@pytest.mark.parametrize("stage", UPSAMPLING)
def test_a_stage_that_upsamples_imports_torch_before_its_workers_fork(stage: str) -> None:
    assert imported(f"import {module_of(stage, ROOT / 'wsss')}") == {"torch"}


def test_the_runner_itself_imports_none() -> None:
    runner = "sys.path.insert(0, 'rules'); import run_stage; run_stage.set_threads(1)"
    assert imported("import sys", runner) == set()
