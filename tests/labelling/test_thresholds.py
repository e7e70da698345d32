"""Thresholds by rules: of an image, of a data set, and from the file of the latter."""

import statistics
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from tests.support import scenes
from wsss.artefacts.formats import ArtefactError, read_json, read_manifest, read_tensors, write_json
from wsss.config.fields import Rule
from wsss.config.refiners import Pseudo
from wsss.labelling.thresholds import (
    data_set_threshold,
    image_threshold,
    resolved,
    rule_chosen,
    rule_names,
    spread_of_steps,
)
from wsss.methods.thresholds import BINS, STEPS, threshold_by, value_histogram
from wsss.stages.pseudo import choose_threshold, count_values

SWEEP = {"start": 0.0, "stop": 0.9, "step": 0.1}


def test_the_configuration_offers_every_rule_and_no_other() -> None:
    offered = get_args(Rule)
    assert sorted(offered) == sorted(rule_names())
    assert all(name in rule_chosen(name) for name in offered)


def count(folder: Path, name: str = "values") -> list[Path]:
    manifest = scenes.make_manifest(folder)
    counts = []
    for shard in scenes.SHARDS:
        maps = scenes.make_maps(folder, read_manifest(manifest), shard)
        counts.append(folder / f"{name}_{shard}.safetensors")
        count_values.run(manifest=manifest, maps=maps, counts=counts[-1], shard=shard)
    return counts


def choose(folder: Path, **changes: Any) -> dict[str, Any]:
    settings = {"counts": count(folder), "rule": "otsu_dataset", "thresholds": SWEEP}
    choose_threshold.run(chosen=folder / "chosen.json", **{**settings, **changes})
    return read_json(folder / "chosen.json")


def test_values_are_of_all_images_with_a_class_masked_or_not(tmp_path: Path) -> None:
    parts = [read_tensors(path, "counts") for path in count(tmp_path)]
    assert [int(part["images"]) for part in parts] == [1, 2]  # image 2 has no class, image 3 no mask
    total = sum(part["counts"] for part in parts)[0]
    assert total.dtype == torch.int64 and total.shape == (BINS,)
    assert total.nonzero().flatten().tolist() == [0, BINS // 2 - 1]  # maps of 0 and of 0.5 on a third
    assert total[total > 0].tolist() == [3 * 4, 3 * 2]


def test_the_data_set_s_threshold_lies_between_its_maps_two_values(tmp_path: Path) -> None:
    chosen = choose(tmp_path)
    assert chosen["threshold"] in (0.2, 0.3)  # half way from 0 to 0.5 is no step
    assert (chosen["rule"], chosen["images"]) == ("otsu_dataset", 3)
    assert chosen["maps"]["settings"] == {"kind": "cam"}
    assert "otsu_dataset" in chosen["threshold_chosen"]


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = count(tmp_path, "a"), count(tmp_path, "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    choose(tmp_path)
    before = (tmp_path / "chosen.json").read_bytes()
    choose(tmp_path)
    assert (tmp_path / "chosen.json").read_bytes() == before


def test_the_nearest_step_of_the_sweep_is_taken() -> None:
    histogram = value_histogram(np.array([[[0.0, 0.0, 0.42, 0.42]]]))
    found = threshold_by("otsu", histogram)
    assert found == pytest.approx(0.21, abs=1 / BINS)
    assert data_set_threshold("otsu_dataset", histogram, [0.0, 0.1, 0.2, 0.3]) == (0.2, 2)
    with pytest.raises(ArtefactError, match="rule otsu_dataset: expected training images with a class"):
        data_set_threshold("otsu_dataset", np.zeros(BINS, np.int64), [0.5])


def test_an_image_s_threshold_is_a_number_or_its_own() -> None:
    maps = np.array([[[0.0, 0.8]], [[0.0, 0.2]]], np.float16)
    assert image_threshold(0.25, maps) == 0.25
    assert image_threshold("otsu", maps) == pytest.approx(0.4, abs=1 / BINS)


def test_mean_and_deviation_from_sums() -> None:
    steps = [10, 20, 60]
    spread = spread_of_steps([len(steps), sum(steps), sum(step * step for step in steps)])
    assert spread["threshold"] == pytest.approx(statistics.mean(steps) / STEPS)
    assert spread["threshold_deviation"] == pytest.approx(statistics.stdev(steps) / STEPS)
    assert spread_of_steps([1, 7, 49]) == {"threshold": 7 / STEPS, "threshold_deviation": None}
    assert spread_of_steps([0, 0, 0]) == {"threshold": None, "threshold_deviation": None}


def test_settings_take_the_number_of_the_data_set_s_file(tmp_path: Path) -> None:
    choose(tmp_path)
    number = read_json(tmp_path / "chosen.json")["threshold"]
    file = tmp_path / "chosen.json"
    assert resolved(Pseudo(threshold="otsu_dataset"), file) == Pseudo(threshold=number)
    for settled in (Pseudo(threshold="otsu"), Pseudo(threshold=0.25)):
        assert resolved(settled, None) == settled


def test_a_missing_file_and_one_of_another_rule_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="threshold otsu_dataset: expected the file of the data set's"):
        resolved(Pseudo(threshold="otsu_dataset"), None)
    write_json(tmp_path / "x.json", {"form": "threshold", "version": 1, "rule": "li_dataset", "threshold": 1})
    with pytest.raises(
        ArtefactError, match=r"x\.json: expected a threshold by rule 'otsu_dataset', version 1"
    ):
        resolved(Pseudo(threshold="otsu_dataset"), tmp_path / "x.json")
