"""Who made an artefact, and what it may rest on."""

from pathlib import Path

import pytest

from tests.support.runs import Run
from wsss.artefacts.formats import write_json, write_tensors
from wsss.artefacts.identity import Identity, making
from wsss.diff.pairing import Unit, find_units

CHAIN = {"dataset": "voc", "run": "0", "classifier": "a", "method": "b"}
LABELLER = {"dataset": "voc", "run": "0", "labeller": "a/b/c"}
PREDICTOR = {"dataset": "voc", "run": "0", "predictor": "a/b/c/d", "split": "val", "inference": "e"}
# A chain that refines by a network, as its rules follow each other, and each one's form; None: JSON.
STAGES = [
    ("train_classifier", "weights", {"dataset": "voc", "run": "0", "classifier": "a"}),
    ("extract_maps", "views", {"dataset": "voc", "run": "0", "classifier": "a"}),
    ("diffuse_cams", "maps", CHAIN),
    ("train_irn", "weights", {**CHAIN, "refiner": "c"}),
    ("walk_cams", "maps", {**CHAIN, "refiner": "c"}),
    ("train_segmenter", "weights", {**LABELLER, "segmenter": "d"}),
    ("count_predictions", "counts", PREDICTOR),
    ("evaluate_pseudo", None, {**CHAIN, "refiner": "c"}),
    ("evaluate_segmentation", None, {**LABELLER, "segmenter": "d"}),
    ("summarise_runs", None, {"dataset": "voc"}),
]


def unit(data: Path, place: str) -> Unit:
    return next(unit for unit in find_units(data, data) if unit.place == place)


def made(folder: Path, rule: str, form: str | None = None, **wildcards: str) -> Unit:
    path = folder / f"{rule}.{'safetensors' if form else 'json'}"
    with making(Identity(rule, wildcards)):
        if form:
            write_tensors(path, form, {})
        else:
            write_json(path, {})
    return Unit(path.name, {"": path}, {"": path})


def test_outputs_come_in_the_order_in_which_a_chain_makes_them(tmp_path: Path) -> None:
    for rule, form, wildcards in reversed(STAGES):
        made(tmp_path, rule, form, **wildcards)
    assert [found.rule for found in find_units(tmp_path, tmp_path)] == [rule for rule, _, _ in STAGES]


@pytest.mark.parametrize("name", ["compare.csv", "seed_curve.csv", "examples.png"])
def test_what_has_no_header_is_called_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert unit(tmp_path, name).rule == name


@pytest.mark.parametrize(
    ("rule", "wildcards"),
    [
        ("evaluate_seeds", {"run": "0", "classifier": "a", "method": "b", "refiner": "none"}),
        ("train_segmenter", {"run": "0", "labeller": "a/b/none", "segmenter": "d"}),
        ("summarise_runs", {}),
        ("compare", {"dataset": "voc"}),
    ],
)
def test_what_comes_later_in_a_chain_may_rest_on_what_came_before(
    tmp_path: Path, rule: str, wildcards: dict[str, str]
) -> None:
    maps, later = made(tmp_path, "diffuse_cams", "maps", **CHAIN), made(tmp_path, rule, **wildcards)
    assert maps.order < later.order and later.may_rest_on(maps)


@pytest.mark.parametrize("other", [{"run": "1"}, {"classifier": "ab"}, {"method": "c"}, {"dataset": "coco"}])
def test_what_is_of_another_run_or_chain_may_not(tmp_path: Path, other: dict[str, str]) -> None:
    maps = made(tmp_path, "diffuse_cams", "maps", **CHAIN)
    assert not made(tmp_path, "evaluate_seeds", **{**CHAIN, **other}).may_rest_on(maps)


def test_a_table_belongs_to_the_job_of_the_file_beside_it(tmp_path: Path) -> None:
    data = Run(tmp_path).write()
    weights, history = (unit(data, f"run0/small/{name}") for name in ("weights.safetensors", "history.csv"))
    assert history.rule == "train_classifier"
    assert history.key == weights.key
