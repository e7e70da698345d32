"""Scores of a segmentation network under several ways of inference."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import scenes
from wsss.artefacts.formats import ArtefactError, read_manifest, write_labels
from wsss.artefacts.identity import Identity, making
from wsss.stages.evaluate import count_predictions, evaluate_segmentation

INFERENCES: dict[str, dict[str, Any]] = {
    "single": {"scales": [1.0], "mirror": False, "crf": None},
    "multi_crf": {"scales": [0.5, 1.0], "mirror": True, "crf": {"iterations": 10}},
}


def counts(folder: Path, name: str, shard: str, empty: bool) -> Path:
    data = read_manifest(folder / "manifest.jsonl")
    params = {"settings": INFERENCES[name], "split": "val"}
    labels, index = scenes.make_labels(folder / name, data, "val", shard, params)
    if empty:
        made = [(record.id, np.zeros(scenes.SIZE, np.uint8)) for record in data.shard("val", shard)]
        write_labels(labels, index, made, params)
    path = folder / f"{name}_{shard}.safetensors"
    with making(Identity("count_predictions", {"inference": name})):
        count_predictions.run(
            manifest=folder / "manifest.jsonl",
            labels=[labels],
            indexes=[index],
            counts=path,
            split="val",
            shards=[shard],
        )
    return path


def run(
    folder: Path, main: str = "multi_crf", masks: bool = True, irn: bool = True, seen: str = ""
) -> dict[str, Any]:
    scenes.make_manifest(folder, masks)
    # Shards and inferences are mixed on purpose: the files themselves name their inference.
    paths = [counts(folder, name, shard, name == "single") for shard in scenes.SHARDS for name in INFERENCES]
    evaluate_segmentation.run(
        manifest=folder / "manifest.jsonl",
        counts=paths,
        weights=scenes.make_weights(folder, pixel_labels=seen == "classifier"),
        segmenter_weights=scenes.make_weights(folder, "segmenter", pixel_labels=seen == "segmenter"),
        scores=folder / "scores.json",
        inferences=INFERENCES,
        main=main,
        **({"irn_weights": scenes.make_weights(folder, "irn", pixel_labels=seen == "irn")} if irn else {}),
    )
    result: dict[str, Any] = json.loads((folder / "scores.json").read_text(), parse_constant=pytest.fail)
    return result


def test_each_inference_is_named_and_the_main_one_stands_at_the_top(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert set(result["inferences"]) == set(INFERENCES)
    assert result["inferences"]["single"]["per_class"][1]["iou"] == 0
    assert result["inferences"]["multi_crf"]["per_class"][1]["iou"] == pytest.approx(41 / 47)
    assert result["inference"] == "multi_crf"
    assert result["miou"] == result["inferences"]["multi_crf"]["miou"]
    assert (result["scales"], result["crf"]) == ([0.5, 1.0], {"iterations": 10})


def test_file_says_what_was_measured(tmp_path: Path) -> None:
    result = run(tmp_path, main="single")
    assert (result["split"], result["images"], result["pixel_labels_used"]) == ("val", 2, False)
    assert "without image labels" in result["measured"]


@pytest.mark.parametrize("seen", ["classifier", "irn", "segmenter"])
def test_pixel_labels_of_any_network_are_said(tmp_path: Path, seen: str) -> None:
    result = run(tmp_path, seen=seen)
    assert result["pixel_labels_used"] is True
    assert [role for role, initial in result["initial_weights"].items() if initial["pixel_labels"]] == [seen]
    assert set(result["initial_supervision"]) == {"classifier", "irn", "segmenter"}


def test_a_chain_without_irnet_names_the_other_two(tmp_path: Path) -> None:
    assert set(run(tmp_path, irn=False)["initial_weights"]) == {"classifier", "segmenter"}


def test_without_any_mask_scores_are_null(tmp_path: Path) -> None:
    result = run(tmp_path, masks=False)
    assert result["images"] == 0
    assert {part["miou"] for part in result["inferences"].values()} == {None}


def test_unknown_main_inference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one of \['multi_crf', 'single'\], found 'multi'"):
        run(tmp_path, main="multi")


def test_an_inference_without_counts_is_refused_by_name(tmp_path: Path) -> None:
    scenes.make_manifest(tmp_path)
    paths = [counts(tmp_path, "single", shard, False) for shard in scenes.SHARDS]
    with pytest.raises(ArtefactError, match="inference 'multi_crf': no counts"):
        evaluate_segmentation.run(
            manifest=tmp_path / "manifest.jsonl",
            counts=paths,
            weights=scenes.make_weights(tmp_path),
            segmenter_weights=scenes.make_weights(tmp_path, "segmenter"),
            scores=tmp_path / "scores.json",
            inferences=INFERENCES,
            main="single",
        )
