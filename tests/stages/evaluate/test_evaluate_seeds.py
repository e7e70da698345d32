"""Scores of class maps over a sweep."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support import scenes
from wsss.artefacts.formats import ArtefactError, read_manifest, read_table
from wsss.labelling.thresholds import rule_names
from wsss.stages.evaluate import count_seeds, evaluate_seeds

SWEEP = {"start": 0.0, "stop": 0.6, "step": 0.1}


def run(
    folder: Path, name: str = "scores", masks: bool = True, configured: float | str = 0.3, **more: Path
) -> dict[str, Any]:
    manifest = scenes.make_manifest(folder, masks)
    counts = []
    for shard in scenes.SHARDS:
        maps = scenes.make_maps(folder, read_manifest(manifest), shard)
        counts.append(folder / f"counts_{shard}.safetensors")
        count_seeds.run(manifest=manifest, maps=[maps], counts=counts[-1], thresholds=SWEEP, shards=[shard])
    evaluate_seeds.run(
        manifest=manifest,
        counts=counts,
        weights=scenes.make_weights(folder),
        scores=folder / f"{name}.json",
        curve=folder / f"{name}.csv",
        configured_threshold=configured,
        settings={"kind": "cam"},
        **more,
    )
    text = (folder / f"{name}.json").read_text()
    result: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return result


def test_best_and_configured_threshold_stand_side_by_side(tmp_path: Path) -> None:
    result = run(tmp_path)
    curve = read_table(tmp_path / "scores.csv")
    assert list(curve) == ["threshold", "miou", "mean_fp", "mean_fn", "pixel_accuracy", "f1"]
    assert curve["threshold"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    best = int(curve["miou"].argmax())
    assert result["threshold"] == pytest.approx(curve["threshold"][best])
    assert result["miou"] == pytest.approx(curve["miou"].max())
    assert result["configured"]["threshold"] == 0.3
    assert result["configured"]["miou"] == pytest.approx(curve["miou"][3])
    assert "truth" in result["threshold_chosen"]
    assert result["configured"]["threshold_chosen"] == "configured"


def test_rules_that_see_no_mask_stand_beside_them(tmp_path: Path) -> None:
    """Maps are 0 or 0.5: every image's own threshold lies half way, and the data set's at a step nearby."""
    result = run(tmp_path)
    assert set(result["rules"]) == set(rule_names())
    own, shared = result["rules"]["otsu"], result["rules"]["otsu_dataset"]
    assert own["threshold"] == pytest.approx(0.25, abs=1e-3) and own["threshold_deviation"] == 0
    assert shared["threshold"] in (0.2, 0.3) and "threshold_deviation" not in shared
    curve = read_table(tmp_path / "scores.csv").set_index("threshold")["miou"]
    assert shared["miou"] == pytest.approx(curve[shared["threshold"]])
    assert own["miou"] == pytest.approx(curve[0.2]) == pytest.approx(curve[0.3])
    for name, scores in result["rules"].items():
        assert scores["threshold_rule"] == name and name in scores["threshold_chosen"]
        assert len(scores["per_class"]) == 3


@pytest.mark.parametrize("rule", rule_names())
def test_the_configured_threshold_may_be_a_rule(rule: str, tmp_path: Path) -> None:
    result = run(tmp_path, configured=rule)
    assert result["configured"] == result["rules"][rule]


def test_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"threshold 'otsi': expected a number or one of the rules"):
        run(tmp_path, configured="otsi")


def test_without_any_mask_a_data_set_has_its_threshold_and_images_no_mean(tmp_path: Path) -> None:
    rules = run(tmp_path, masks=False)["rules"]
    assert rules["otsu_dataset"]["threshold"] in (0.2, 0.3)
    assert rules["otsu"]["threshold"] is None
    assert all(scores["miou"] is None for scores in rules.values())


def test_each_class_adds_up_to_one(tmp_path: Path) -> None:
    for row in run(tmp_path)["per_class"]:
        assert math.isclose(row["iou"] + row["fp"] + row["fn"], 1)


def test_file_says_what_was_measured(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result["split"], result["images"], result["scales"]) == ("masked", 3, [1.0, 0.5])
    assert result["crf"] is None
    assert result["thresholds"] == SWEEP
    assert result["settings"] == {"kind": "cam"}
    assert [row["class"] for row in result["per_class"]] == result["classes"]


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path, "a")
    run(tmp_path, "b")
    for form in ("json", "csv"):
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


def test_without_any_mask_scores_are_null(tmp_path: Path) -> None:
    result = run(tmp_path, masks=False)
    assert (result["images"], result["truth"]) == (0, [])
    assert result["miou"] is None
    assert result["configured"]["mean_fp"] is None
    assert read_table(tmp_path / "scores.csv")["miou"].isna().all()


def test_fixed_threshold_must_be_one_of_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"configured threshold 0\.33: expected one of the sweep's"):
        run(tmp_path, configured=0.33)


def test_every_trained_network_s_initial_weights_are_said(tmp_path: Path) -> None:
    plain = run(tmp_path)
    assert (set(plain["initial_weights"]), plain["pixel_labels_used"]) == ({"classifier"}, False)
    walked = run(tmp_path, irn_weights=scenes.make_weights(tmp_path, "irn", pixel_labels=True))
    assert walked["initial_weights"]["irn"]["file"] == "irn.pth"
    assert set(walked["initial_supervision"]) == {"classifier", "irn"}
    assert walked["pixel_labels_used"] is True
