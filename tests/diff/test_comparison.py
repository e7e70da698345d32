"""Whole runs: which artefacts differ, where the two part and why, and the exit status."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.runs import Run
from wsss.artefacts.formats import write_json, write_mask, write_tensors
from wsss.artefacts.identity import Identity, making
from wsss.cli import main
from wsss.diff import Comparison, compare
from wsss.diff.comparison import Finding
from wsss.diff.findings import Verdict
from wsss.diff.text import sentences, stage_rows, why

MAPS = "run0/small/adcam/none/maps"
PSEUDO = "run0/small/adcam/none/pseudo"


def pair(tmp_path: Path, **changed: Any) -> tuple[Path, Path]:
    """Two runs, the second with changes."""
    return Run(tmp_path / "a").write(), Run(tmp_path / "b", **changed).write()


def by_place(comparison: Comparison) -> dict[str, Finding]:
    return {finding.unit.place: finding for finding in comparison.findings}


def verdicts(comparison: Comparison) -> dict[str, Verdict]:
    return {place: finding.verdict for place, finding in by_place(comparison).items()}


def first(comparison: Comparison) -> tuple[str, str, str]:
    """Rule, place and reason of where the two part first."""
    finding = comparison.origins[0]
    return finding.unit.rule, finding.unit.place, why(finding)


def test_the_same_run_twice_is_equal(tmp_path: Path) -> None:
    a = Run(tmp_path / "a").write()
    shutil.copytree(a, tmp_path / "b")
    found = compare(a, tmp_path / "b")
    assert set(verdicts(found).values()) == {Verdict.EQUAL}
    assert (found.status, found.origins) == (0, [])
    assert sentences(found) == ["equal: 10 equal"]


def test_stages_come_in_the_order_of_the_pipeline(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path))
    assert [finding.unit.rule for finding in found.findings] == [
        "source",
        "prepare_manifest",
        "train_classifier",
        "train_classifier",
        "extract_maps",
        "diffuse_cams",
        "make_pseudo_labels",
        "count_pseudo",
        "evaluate_pseudo",
        "summarise_runs",
    ]


def test_another_setting_is_named_where_it_was_first_used(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path, steps=4, brighter=0.125, shift=1))
    assert first(found) == ("diffuse_cams", MAPS, "settings: settings.steps 2 -> 4")
    assert len(found.origins) == 1  # what follows differs by its inputs
    assert verdicts(found)["run0/small/cams"] is Verdict.EQUAL
    assert list(by_place(found)[PSEUDO].inputs) == ["maps"]
    assert found.status == 1
    maps = by_place(found)[MAPS].difference
    assert maps.worst == {"img0": pytest.approx(0.125, abs=1e-3)}


def test_a_setting_further_on_is_named_too(tmp_path: Path) -> None:
    lines = sentences(compare(*pair(tmp_path, lr=0.2, weight=1.5, steps=4, shift=1)))
    assert lines[0] == (
        "the two part at train_classifier (run0/small/weights.safetensors): settings: training.lr 0.1 -> 0.2"
    )
    assert f"also set otherwise at diffuse_cams ({MAPS}): settings.steps 2 -> 4" in lines


def test_other_code_is_named(tmp_path: Path) -> None:
    changed = {"code": {"diffuse_cams": "fedcba9876543210"}, "brighter": 0.1}
    rule, _, reason = first(compare(*pair(tmp_path, **changed)))
    assert (rule, reason) == ("diffuse_cams", "made with: code 0123456789abcdef -> fedcba9876543210")


def test_other_code_without_effect_is_said(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path, code={"diffuse_cams": "fedcba9876543210"}))
    assert sentences(found)[0] == "made with other code, and yet the same: diffuse_cams"
    assert found.status == 0


def test_chance_is_said_where_nothing_else_differs(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path, brighter=0.1))
    assert first(found)[2].startswith("same settings, inputs and code: chance")


def test_what_names_no_job_cannot_tell_why(tmp_path: Path) -> None:
    for name, miou in (("a", 0.5), ("b", 0.6)):
        write_json(tmp_path / name / "scores.json", {"miou": miou})
    found = compare(tmp_path / "a", tmp_path / "b")
    assert first(found) == (
        "scores.json",
        "scores.json",
        "no job is named on both sides to tell whether settings or code differ",
    )


def test_results_that_were_moved_are_the_same_content(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path, source="elsewhere"))
    assert found.status == 0
    # the manifest's bytes differ, by which all that was made from it has another header
    assert verdicts(found)["manifest.jsonl"] is Verdict.SAME
    assert verdicts(found)[MAPS] is Verdict.SAME
    assert verdicts(found)[PSEUDO] is Verdict.SAME


def test_a_change_is_found_behind_a_manifest_that_was_moved(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path, source="elsewhere", steps=4, brighter=0.1))
    assert first(found) == ("diffuse_cams", MAPS, "settings: settings.steps 2 -> 4")


def test_an_input_that_is_listed_later_counts_as_the_same_content(tmp_path: Path) -> None:
    for name, lr in (("a", 0.1), ("b", 0.2)):
        labels, weights = (tmp_path / name / f"{part}.safetensors" for part in ("labels", "weights"))
        with making(Identity("make_irn_labels", {"refiner": "irn"})):
            write_tensors(labels, "maps", {}, {"made": name})
        with making(Identity("train_irn", {"refiner": "irn"}, {"lr": lr})):
            write_tensors(weights, "weights", {"w": torch.tensor(lr)}, {}, {"labels": labels})
    found = compare(tmp_path / "a", tmp_path / "b")
    assert [finding.verdict for finding in found.findings] == [Verdict.DIFFERS, Verdict.SAME]
    assert first(found) == ("train_irn", "weights.safetensors", "settings: lr 0.1 -> 0.2")


def test_other_shards_are_the_same_content(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path, shards=3))
    assert found.status == 0
    assert {MAPS, PSEUDO} <= {place for place, verdict in verdicts(found).items() if verdict is Verdict.SAME}


def test_a_missing_stage_is_said(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    shutil.rmtree(b / "run0/small/cams")
    found = compare(a, b)
    assert found.status == 1
    assert verdicts(found)["run0/small/cams"] is Verdict.ONLY_A
    assert sentences(found)[0] == "B is missing all of extract_maps"
    assert sentences(compare(b, a))[0] == "A is missing all of extract_maps"


def test_a_missing_variant_is_one_row_and_one_sentence(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    for name in ("adcam_k10", "adcam_k20"):
        shutil.copytree(a / "run0/small/adcam", a / "run0/small" / name)
    found = compare(a, b)
    rows = [row for row in stage_rows(found) if row[2] == "only in A"]
    assert ("diffuse_cams", "run0/small/adcam_k10/none/maps and 1 more", "only in A", "") in rows
    assert len(rows) == 4
    assert sentences(found)[0].startswith("B is missing 2 of diffuse_cams, 2 of make_pseudo_labels,")
    assert found.status == 1


def test_an_interrupted_stage_is_said(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    (b / MAPS / "001of002.safetensors").unlink()
    shutil.rmtree(b / PSEUDO / "001of002")
    (b / f"{PSEUDO}/001of002.jsonl").unlink()
    found = by_place(compare(a, b))
    for place in (MAPS, PSEUDO):
        assert found[place].verdict is Verdict.DIFFERS
        assert found[place].difference.notes == ["2 images only in A"]


def test_damage_is_told_and_the_rest_compared(tmp_path: Path) -> None:
    a, b = pair(tmp_path, shift=1)
    shard = b / MAPS / "000of002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-20])
    found = compare(a, b)
    assert found.status == 2
    assert verdicts(found)[MAPS] is Verdict.UNREADABLE
    assert str(shard) in by_place(found)[MAPS].difference.text
    assert verdicts(found)[PSEUDO] is Verdict.DIFFERS


def test_maps_without_classes_are_damage(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    for data, value in ((a, 0.0), (b, 1.0)):
        write_tensors(data / "x.safetensors", "maps", {"img0/maps": torch.full((1, 2, 2), value)})
    found = compare(a, b)
    assert verdicts(found)["x.safetensors"] is Verdict.UNREADABLE
    assert "no tensor 'img0/classes'" in by_place(found)["x.safetensors"].difference.text


def test_a_changed_label_map_is_found_though_its_index_is_the_same(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    path = b / PSEUDO / "000of002" / "img0.png"
    shutil.copy(b / PSEUDO / "001of002" / "part" / "1.png", path)
    assert verdicts(compare(a, b))[PSEUDO] is Verdict.DIFFERS


def test_unfinished_work_and_logs_are_no_artefacts(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    for name in (
        "run0/small/work-weights-0123/iter_1.pth",
        "run0/small/events/x/y",
        ".snakemake_timestamp",
    ):
        (b / name).parent.mkdir(parents=True, exist_ok=True)
        (b / name).touch()
    (b / "run0/small/.weights.safetensors.1.tmp").touch()
    assert compare(a, b).status == 0


def test_two_runs(tmp_path: Path) -> None:
    data = Run(tmp_path / "a", miou={0: 0.5, 1: 0.6}).write()
    found = compare(data / "run0", data / "run1")
    rule, place, reason = first(found)
    assert (rule, place, reason) == (
        "train_classifier",
        "small/weights.safetensors",
        "settings: seed 0 -> 1",
    )


def test_a_run_copied_without_its_manifest_has_its_stages(tmp_path: Path) -> None:
    a, b = pair(tmp_path, steps=4, brighter=0.1)
    for data, name in ((a, "c"), (b, "d")):
        shutil.copytree(data / "run0", tmp_path / name / "run0")
    found = compare(tmp_path / "c", tmp_path / "d")
    assert {finding.unit.rule for finding in found.findings} >= {"train_classifier", "evaluate_pseudo"}
    assert [finding.unit.place for finding in found.origins] == [MAPS]


def test_a_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    (b / "run0").rename(tmp_path / "elsewhere")
    (b / "run0").symlink_to(tmp_path / "elsewhere")
    assert verdicts(compare(a, b))[MAPS] is Verdict.EQUAL


def test_results_of_several_data_sets(tmp_path: Path) -> None:
    for name, steps in (("a", 2), ("b", 4)):
        run = Run(tmp_path / name, steps=steps, brighter=steps / 10)
        run.write()
        shutil.copytree(run.data, run.data.with_name("toy2"))
    found = compare(tmp_path / "a/results", tmp_path / "b/results")
    assert [finding.unit.place for finding in found.origins] == [f"{name}/{MAPS}" for name in ("toy", "toy2")]
    assert not [place for place in by_place(found) if place.startswith("logs")]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("manifest.jsonl", "prepare_manifest"),
        ("run0/small/weights.safetensors", "train_classifier"),
        ("run0/small/history.csv", "train_classifier"),
        ("run0/small/cams/000of002.safetensors", "extract_maps"),
        (f"{MAPS}/000of002.safetensors", "diffuse_cams"),
        (f"{PSEUDO}/000of002.jsonl", "make_pseudo_labels"),
        ("run0/small/adcam/none/pseudo_counts/000of002.safetensors", "count_pseudo"),
        ("run0/small/adcam/none/pseudo_miou.json", "evaluate_pseudo"),
    ],
)
def test_two_files(tmp_path: Path, name: str, rule: str) -> None:
    a, b = pair(tmp_path, images=5, weight=2.0, lr=0.2, shift=2, miou={0: 0.7})
    found = compare(a / name, b / name)
    assert [finding.unit.rule for finding in found.findings] == [rule]
    assert (found.status, found.findings[0].verdict) == (1, Verdict.DIFFERS)
    assert compare(a / name, a / name).status == 0


def test_two_label_maps(tmp_path: Path) -> None:
    a, b = pair(tmp_path, shift=1)
    found = compare(a / PSEUDO / "000of002/img0.png", b / PSEUDO / "000of002/img0.png")
    assert found.findings[0].difference.amounts["iou"].keys() == {"background", "cat"}
    assert found.status == 1


def test_times_make_no_difference(tmp_path: Path) -> None:
    a, b = pair(tmp_path)
    for data, minutes in ((a, 1), (b, 2)):
        (data / "compare.csv").write_text(f"system,miou,train_minutes\nCAM,0.5,{minutes}\n")
        (data / "compare.html").write_text(f"{minutes}")
    found = compare(a, b)
    assert verdicts(found)["compare.csv"] is Verdict.SAME
    assert verdicts(found)["compare.html"] is Verdict.NOT_COMPARED
    assert found.status == 0


def test_tables_part_in_a_row(tmp_path: Path) -> None:
    for name, text in (("a.csv", "step,loss\n1,0.5\n2,0.25\n3,1\n"), ("b.csv", "step,loss\n1,0.5\n2,0.5\n")):
        (tmp_path / name).write_text(text)
    found = compare(tmp_path / "a.csv", tmp_path / "b.csv").findings[0].difference
    assert (found.amounts["first"], found.amounts["rows"]) == (2, 3)
    assert found.text == "part in row 2 of 3: step by inf, loss by inf"
    (tmp_path / "a.csv").write_text("step,loss\n1,0.5\n2,0.25\n")
    found = compare(tmp_path / "a.csv", tmp_path / "b.csv").findings[0].difference
    assert found.text == "part in row 2 of 2: loss by 0.25"


def test_a_stage_is_known_by_its_header_wherever_it_lies(tmp_path: Path) -> None:
    data = Run(tmp_path / "a").write()
    with making(Identity("train_single_stage", {"run": "0", "single": "mine"})):
        write_tensors(data / "somewhere/weights.safetensors", "weights", {})
    found = {finding.unit.place: finding.unit.rule for finding in compare(data, data).findings}
    assert found["somewhere/weights.safetensors"] == "train_single_stage"


# ------------------------------------------------------------------------------------------- the command line


def status(*arguments: str | Path) -> int:
    return main(["diff", *map(str, arguments)])


def test_the_table_and_what_it_comes_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(tmp_path, steps=4, brighter=0.125, shift=1, miou={0: 0.52})
    assert status(a, b) == 1
    out = capsys.readouterr().out
    assert f"A: {a}" in out
    row = next(line for line in out.splitlines() if line.startswith("diffuse_cams"))
    assert row.split()[:3] == ["diffuse_cams", MAPS, "differs"]
    assert "worst img0" in row
    assert "of the pixels disagree; IoU between the two" in out
    scores = next(line for line in out.splitlines() if line.startswith("small/adcam/none/pseudo_miou.json"))
    assert scores.split()[1:5] == ["mIoU", "50.00", "52.00", "+2.00"]
    assert "one run a side" in scores
    assert out.splitlines()[-1].startswith("different: ")


def test_a_difference_inside_the_noise_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = Run(tmp_path / "a", miou={0: 0.50, 1: 0.54}).write()
    b = Run(tmp_path / "b", miou={0: 0.51, 1: 0.55}).write()
    status(a, b)
    assert "none: inside the noise between runs" in capsys.readouterr().out


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(tmp_path, steps=4, brighter=0.125)
    assert status("--json", a, b) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["parted"] == [
        {"artefact": MAPS, "stage": "diffuse_cams", "why": "settings: settings.steps 2 -> 4"}
    ]
    stage = next(stage for stage in document["stages"] if stage["artefact"] == MAPS)
    assert stage["settings"] == [{"name": "settings.steps", "a": 2, "b": 4}]
    assert stage["worst"][0]["image"] == "img0"
    assert document["status"] == 1


def test_json_of_what_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(tmp_path, brighter=float("nan"), weight=float("inf"))
    assert status("--json", a, b) == 1
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_equal_folders_exit_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, _ = pair(tmp_path)
    assert status(a, a) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "equal: 10 equal"


def test_another_data_set_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(tmp_path, classes=("cat", "cow"))
    assert status(a, b) == 2
    error = capsys.readouterr().err
    assert "another data set" in error
    assert "3 classes (cat, dog, owl)" in error
    assert "2 classes (cat, cow)" in error
    assert status(a / MAPS, b / MAPS) == 2


def test_no_image_in_common_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(tmp_path)
    path = b / "manifest.jsonl"
    path.write_text(path.read_text().replace('"id": "', '"id": "other'))
    assert status(a, b) == 2
    assert "no image in common" in capsys.readouterr().err


def test_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, _ = pair(tmp_path)
    assert status(a, tmp_path / "absent") == 2
    assert "absent: no such file or folder" in capsys.readouterr().err
    assert status(a, a / "manifest.jsonl") == 2
    assert "one of each" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert status(a, tmp_path / "empty") == 2
    assert "nothing can be compared" in capsys.readouterr().err


def test_what_the_system_refuses_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, _ = pair(tmp_path)
    assert status(a, tmp_path / ("b" * 300)) == 2  # longer than a file's name may be
    assert capsys.readouterr().err.startswith("wsss: ")


def test_files_of_two_forms_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(tmp_path)
    assert status(a / f"{MAPS}/000of002.safetensors", b / "run0/small/weights.safetensors") == 2
    assert "expected two files of one form, found maps and weights" in capsys.readouterr().out
    write_mask(tmp_path / "label.png", np.zeros((2, 2), np.uint8))
    assert status(tmp_path / "label.png", a / "source/images/0.png") == 2


def test_paths_may_be_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pair(tmp_path, steps=4, brighter=0.1)
    monkeypatch.chdir(tmp_path)
    assert status("a/results/toy", os.path.join("b", "results", "toy")) == 1
    assert f"the two part at diffuse_cams ({MAPS})" in capsys.readouterr().out
