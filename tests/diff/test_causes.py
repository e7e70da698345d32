"""Who made an artefact, what it may rest on, and files of equal meaning."""

from pathlib import Path

import pytest

from tests.support.planning import rules
from tests.support.runs import Run
from wsss.artefacts.formats import write_json
from wsss.artefacts.identity import Identity, content_digest, making
from wsss.diff.causes import Equivalents
from wsss.diff.pairing import PIPELINE, Unit, find_units


def unit(data: Path, place: str) -> Unit:
    return next(unit for unit in find_units(data, data) if unit.place == place)


def test_every_rule_has_a_place_in_the_order_of_the_pipeline() -> None:
    assert sorted(PIPELINE) == sorted(set(rules()) - {"demo"})


def made(folder: Path, rule: str, **wildcards: str) -> Unit:
    path = folder / f"{rule}.json"
    with making(Identity(rule, wildcards)):
        write_json(path, {})
    return Unit(path.name, {"": path}, {"": path})


@pytest.mark.parametrize(
    ("rule", "wildcards"),
    [
        ("evaluate_seeds", {"seed": "0", "classifier": "a", "method": "b", "refiner": "none"}),
        ("train_segmenter", {"seed": "0", "labeller": "a/b/none", "segmenter": "d"}),
        ("summarise_seeds", {}),
        ("compare", {"dataset": "voc"}),
    ],
)
def test_what_comes_later_in_a_chain_may_rest_on_what_came_before(
    tmp_path: Path, rule: str, wildcards: dict[str, str]
) -> None:
    maps = made(tmp_path, "diffuse_cams", dataset="voc", seed="0", classifier="a", method="b")
    later = made(tmp_path, rule, **wildcards)
    assert later.may_rest_on(maps) and not maps.may_rest_on(later)


@pytest.mark.parametrize(
    "other",
    [{"seed": "1"}, {"classifier": "ab"}, {"method": "c"}, {"dataset": "coco"}],
)
def test_what_is_of_another_run_or_chain_may_not(tmp_path: Path, other: dict[str, str]) -> None:
    chain = {"dataset": "voc", "seed": "0", "classifier": "a", "method": "b"}
    maps = made(tmp_path, "diffuse_cams", **chain)
    assert not made(tmp_path, "evaluate_seeds", **{**chain, **other}).may_rest_on(maps)


def test_a_table_belongs_to_the_job_of_the_file_beside_it(tmp_path: Path) -> None:
    data = Run(tmp_path).write()
    weights, history = (unit(data, f"seed0/small/{name}") for name in ("weights.safetensors", "history.csv"))
    assert history.rule == "train_classifier"
    assert history.key == weights.key


def test_files_of_one_content_have_one_name(tmp_path: Path) -> None:
    a, b = Run(tmp_path / "a").write(), Run(tmp_path / "b", source="elsewhere").write()
    pair = next(unit for unit in find_units(a, b) if unit.rule == "prepare_manifest")
    digests = [content_digest(path / "manifest.jsonl") for path in (a, b)]
    same = Equivalents()
    assert same.name(digests[:1]) != same.name(digests[1:])
    same.add(pair)
    assert same.name(digests[:1]) == same.name(digests[1:])
    assert same.name(["other"]) == {"other"}
