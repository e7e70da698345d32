"""What the smallest systems' run leaves behind, and what runs again after which change."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.support.chain import BEFORE_DIFFUSION, FOLLOWING
from tests.support.tiny_run import COMPARISON, TARGETS, copy_checkout, run, tiny_run
from wsss.artefacts.identity import identity_of
from wsss.diff import compare

APC_AND_FOLLOWING = {
    "train_single_stage",
    "extract_patch_maps",
    "predict_single_stage_masks",
    "count_seeds",
    "count_predictions",
    "evaluate_seeds",
    "evaluate_single_stage",
    "summarise_single_stage",
    "tabulate_ablations",
    "compare",
    "draw_comparison",
}
NOTHING = "Nothing to be done"
WITHOUT_HEADER = {  # what names no job, by what makes it
    "source": "generate_sample",
    "ablations.csv": "tabulate_ablations",
    "compare.csv": "compare",
    "compare.html": "draw_comparison",
    "examples.png": "draw_examples",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a run reads, so that tests may edit it."""
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the smallest systems were run."""
    return tiny_run(tmp_path_factory).folder


@pytest.fixture
def plan(checkout: Path, tiny: Path) -> Callable[..., str]:
    """What a dry run towards targets that were reached prints."""
    settings = checkout / "tests" / "configs" / "tiny.yaml"

    def dry_run(targets: tuple[str, ...] = TARGETS) -> str:
        return run(checkout, tiny, "-n", "--cores", "1", "--configfile", settings, "--", *targets)

    return dry_run


@pytest.fixture
def edit(checkout: Path) -> Callable[[str, str, str], None]:
    """Replace text in a file of the copied checkout; undone after the test."""
    originals: dict[Path, str] = {}

    def replace(name: str, old: str, new: str) -> None:
        path = checkout / name
        text = path.read_text()
        originals.setdefault(path, text)
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    yield replace
    for path, text in originals.items():
        path.write_text(text)


def planned(output: str) -> set[str]:
    """Rules in the table of jobs of a dry run."""
    table = output.split("Job stats:")[1].split("total")[0]
    return set(re.findall(r"(?m)^(\w+) +\d+$", table))


def test_a_second_run_does_nothing(plan: Callable[..., str]) -> None:
    assert NOTHING in plan()
    assert NOTHING in plan(COMPARISON)


def test_the_comparison_has_a_row_a_system_with_measured_times(tiny: Path) -> None:
    table = pd.read_csv(tiny / "results/sample/compare.csv").set_index("system")
    assert list(table.index) == ["AD-CAM", "AD-CAM + IRNet", "APC"]
    assert table[["seed_miou", "pseudo_miou", "parameters"]].notna().all(axis=None)
    assert table["segmentation_miou"].notna().tolist() == [False, True, True]
    assert (table["train_minutes"] > 0).all()
    assert table["published_as"].isna().all()


def test_the_single_stage_uses_no_tags_on_val(tiny: Path) -> None:
    summary = json.loads((tiny / COMPARISON[1]).read_text())
    assert summary["dataset"] == "sample"
    scores = json.loads((tiny / "results/sample/run0/apc_tiny/seg_miou.json").read_text())
    assert [inference["image_tags_used"] for inference in scores["inferences"].values()] == [False, False]


def test_a_comparison_knows_the_rule_and_the_code_of_every_artefact(tiny: Path) -> None:
    found = compare(tiny / "results/sample", tiny / "results/sample")
    assert found.status == 0
    logs = {path.name for path in (tiny / "results" / "logs").iterdir()}
    units = [finding.unit for finding in found.findings]
    headed = {unit.rule for unit in units if unit.jobs[0]}
    assert {unit.rule for unit in units if not unit.jobs[0]} == set(WITHOUT_HEADER)
    assert logs == headed | set(WITHOUT_HEADER.values())
    shards = list((tiny / "results/sample").rglob("*.safetensors"))
    assert len(shards) > 10 and all(identity_of(path).code for path in shards)


def test_editing_the_patch_contrast_reruns_the_single_stage_and_what_follows(
    plan: Callable[..., str], edit: Callable[[str, str, str], None]
) -> None:
    edit("wsss/methods/contrast.py", "return attraction + repulsion", "return attraction + 2 * repulsion")
    assert planned(plan(COMPARISON)) == APC_AND_FOLLOWING
    assert NOTHING in plan()


def test_comments_docstrings_layout_and_dates_rerun_nothing(
    checkout: Path, plan: Callable[..., str], edit: Callable[[str, str, str], None]
) -> None:
    edit("wsss/methods/diffusion.py", "def diffuse(", "# A comment.\ndef diffuse(")
    edit("wsss/stages/classify/train_classifier.py", "def run(", "# Another.\n\n\ndef run(")
    for path in (checkout / "wsss").rglob("*.py"):
        os.utime(path)
    os.utime(checkout / "rules" / "run_stage.py")
    assert NOTHING in plan()


def test_editing_diffuse_reruns_diffuse_cams_and_what_follows(
    plan: Callable[..., str], edit: Callable[[str, str, str], None]
) -> None:
    body = "maps = step(maps)\n    return maps"
    edit("wsss/methods/diffusion.py", body, body.replace("return maps", "return 2 * maps"))
    assert planned(plan()) == FOLLOWING


def test_editing_a_choice_reruns_its_readers(
    plan: Callable[..., str], edit: Callable[[str, str, str], None]
) -> None:
    edit("tests/configs/tiny.yaml", "lr_step: 2", "lr_step: 3")
    assert planned(plan()) == {
        "train_segmenter",
        "predict_masks",
        "count_predictions",
        "evaluate_segmentation",
        "summarise_runs",
        "draw_examples",
    }


def test_cutting_a_data_set_into_other_shards_trains_nothing_again(
    plan: Callable[..., str], edit: Callable[[str, str, str], None]
) -> None:
    edit("tests/configs/tiny.yaml", "shards: 1", "shards: 2")
    assert planned(plan()).isdisjoint(BEFORE_DIFFUSION - {"extract_maps"})
