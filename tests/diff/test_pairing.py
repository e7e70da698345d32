"""Who made an artefact, and what it may rest on."""

from pathlib import Path

import pytest

from tests.support.planning import rules
from tests.support.runs import Run
from wsss.artefacts.formats import write_json
from wsss.artefacts.identity import Identity, making
from wsss.diff.pairing import Unit, find_units, outputs_of_rules

CHAIN = {"dataset": "voc", "run": "0", "classifier": "a", "method": "b"}


def unit(data: Path, place: str) -> Unit:
    return next(unit for unit in find_units(data, data) if unit.place == place)


def made(folder: Path, rule: str, **wildcards: str) -> Unit:
    path = folder / f"{rule}.json"
    with making(Identity(rule, wildcards)):
        write_json(path, {})
    return Unit(path.name, {"": path}, {"": path})


def test_every_rule_has_a_place_in_the_order() -> None:
    assert sorted(outputs_of_rules()) == sorted(set(rules()) - {"demo"})


@pytest.mark.parametrize(
    ("rule", "name"),
    [("compare", "compare.csv"), ("evaluate_seeds", "seed_curve.csv"), ("draw_examples", "examples.png")],
)
def test_what_has_no_header_is_known_by_its_name(tmp_path: Path, rule: str, name: str) -> None:
    (tmp_path / name).touch()
    assert unit(tmp_path, name).rule == rule


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
    maps, later = made(tmp_path, "diffuse_cams", **CHAIN), made(tmp_path, rule, **wildcards)
    assert later.may_rest_on(maps) and not maps.may_rest_on(later)


@pytest.mark.parametrize("other", [{"run": "1"}, {"classifier": "ab"}, {"method": "c"}, {"dataset": "coco"}])
def test_what_is_of_another_run_or_chain_may_not(tmp_path: Path, other: dict[str, str]) -> None:
    maps = made(tmp_path, "diffuse_cams", **CHAIN)
    assert not made(tmp_path, "evaluate_seeds", **{**CHAIN, **other}).may_rest_on(maps)


def test_a_table_belongs_to_the_job_of_the_file_beside_it(tmp_path: Path) -> None:
    data = Run(tmp_path).write()
    weights, history = (unit(data, f"run0/small/{name}") for name in ("weights.safetensors", "history.csv"))
    assert history.rule == "train_classifier"
    assert history.key == weights.key
