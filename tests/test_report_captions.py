"""``snakemake --report`` of a finished run shows every output that a rule marks, each with its caption."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.support.planning import rules
from tests.support.tiny_run import COMPARISON, ROOT, TARGETS, run, tiny_run

COSTS = "results/sample/apc/cost.csv"
CURVE = "results/sample/run0/tiny/adcam/none/seed_curve.svg"
SHOWN = {
    "results/sample/examples.png": "by method adcam, the refined maps",
    CURVE: "classifier tiny by method adcam, refiner none, run 0, against the background score",
    "results/sample/seg_miou.json": "Scores of the main chain on sample over the runs 0",
    "results/sample/apc/seg_miou.json": "Scores of the single stage on sample over the runs 0",
    COSTS: "Hours",
    "results/sample/apc/ablations.csv": "Variants of single stages, such as APC, on sample",
    "results/sample/compare.csv": "All compared systems on sample, runs 0",
    "results/sample/compare.html": "up to 4 images side by side",
}
NO_NETWORK = {f"{name}_proxy": "http://127.0.0.1:9" for name in ("http", "https")}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a copy of the smallest systems' run, made without a network."""
    checkout, finished = tiny_run(tmp_path_factory)
    folder = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(finished, folder, symlinks=True)
    costs = folder.parent / "costs.yaml"
    costs.write_text("datasets: {sample: {single_stage: {costs: [{name: APC, single_stage: apc_tiny}]}}}")
    options = ("--cores", "1", "--configfile", checkout / "tests/configs/tiny.yaml", costs)
    run(checkout, folder, *options, "--", CURVE, COSTS)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in NO_NETWORK.items():
            patch.setitem(os.environ, name, value)
        run(checkout, folder, *options, "--report", "report.zip", "--", *TARGETS, *COMPARISON, CURVE, COSTS)
    return folder / "report.zip"


@pytest.fixture(scope="module")
def results(archive: Path) -> dict[str, Any]:
    """What the report's page knows of each file."""
    with ZipFile(archive) as files:
        page = files.read("report/report.html").decode()
    found = re.search(r"(?m)^\s*var results = (\{.*\});?$", page)
    assert found
    return json.loads(found[1])


def text(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", "", html).split())


def test_the_report_shows_the_marked_outputs_with_their_captions(results: dict[str, Any]) -> None:
    assert set(results) == set(SHOWN)
    captions = {name: text(entry["caption"]) for name, entry in results.items()}
    assert [name for name, part in SHOWN.items() if part not in captions[name]] == []
    assert not [caption for caption in captions.values() if "{{" in caption or "problematic" in caption]
    assert all(entry["labels"]["data set"] == "sample" for entry in results.values())


def test_the_archive_holds_the_files(archive: Path) -> None:
    with ZipFile(archive) as files:
        names = {Path(name).name for name in files.namelist()}
    assert {Path(name).name for name in SHOWN} <= names


def test_every_caption_is_used_and_every_marked_output_is_tested() -> None:
    outputs = "".join("\n".join(sections["output"]) for sections in rules().values())
    captions = set(re.findall(r'caption="\.\./report/(\w+)\.rst"', outputs))
    assert captions | {"workflow"} == {path.stem for path in (ROOT / "report").glob("*.rst")}
    assert outputs.count("report(") == len(SHOWN)
