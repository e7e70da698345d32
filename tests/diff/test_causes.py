"""What the jobs' logs say of code and versions, and headers of equal meaning."""

import importlib.util
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import Namedlist

from tests.support.runs import Run
from wsss.artefacts.files import digest
from wsss.diff.causes import Equivalents, made_with
from wsss.diff.pairing import PLACES, Unit, find_units

RUNNER = Path(__file__).parents[2] / "rules" / "run_stage.py"


def unit(data: Path, place: str) -> Unit:
    return next(unit for unit in find_units(data, data) if unit.place == place)


def test_what_the_runner_logs_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = importlib.util.spec_from_file_location("run_stage", RUNNER)
    assert spec and spec.loader
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    with caplog.at_level(logging.INFO):
        params = Namedlist(fromdict={"code": "abcdef0123456789"})
        runner.log_making(SimpleNamespace(params=params, resources=SimpleNamespace(gpu=1)))
    data = Run(tmp_path).write()
    log = data.parent / "logs/train_classifier/toy/seed0/small.log"
    log.write_text("another line\n" + caplog.text)
    weights = unit(data, "seed0/small/weights.safetensors")
    found = made_with(weights, weights.a)
    assert (found["code"], found["gpus"]) == ("abcdef0123456789", "1")
    assert found["torch"].startswith("2.")


@pytest.mark.parametrize(
    "place",
    [
        "source",
        "manifest.jsonl",
        "seed0/small/weights.safetensors",
        "seed0/small/history.csv",
        "seed0/small/cams",
        "seed0/small/adcam/none/maps",
        "seed0/small/adcam/none/pseudo",
        "seed0/small/adcam/none/pseudo_counts",
        "seed0/small/adcam/none/pseudo_miou.json",
        "seg_miou.json",
    ],
)
def test_each_stage_has_its_own_log(tmp_path: Path, place: str) -> None:
    data = Run(tmp_path, code={rule.rule: rule.rule for rule in PLACES}).write()
    found = unit(data, place)
    assert made_with(found, found.a)["code"] == found.rule


def test_files_of_one_content_have_one_name(tmp_path: Path) -> None:
    a, b = Run(tmp_path / "a").write(), Run(tmp_path / "b", source="elsewhere").write()
    pair = next(unit for unit in find_units(a, b) if unit.rule == "prepare_manifest")
    digests = [digest(path / "manifest.jsonl") for path in (a, b)]
    same = Equivalents()
    assert same.name(digests[:1]) != same.name(digests[1:])
    same.add(pair)
    assert same.name(digests[:1]) == same.name(digests[1:])
    assert same.name(["other"]) == {"other"}
