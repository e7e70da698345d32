import json
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.support.builders import Data, folder_bytes, make_data
from tests.support.predictors import INITIAL, KINDS, LABELS, make_predictor, write_trained
from wsss.artefacts.formats import write_json

SCORES = {
    "miou": 0.5,
    "mean_fp": 0.25,
    "mean_fn": None,
    "split": "val",
    "images": 4,
    "means": "miou over the classes with background",
    "truth_ignored": "pixels labelled 255 in the truth",
    "per_class": [{"class": "background", "iou": 0.75}, {"class": "cat", "iou": None}],
    "run": 0,
}


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_stands_alone(data: Data, kind: str) -> None:
    folder = make_predictor(data, kind)
    assert set(folder_bytes(folder)) == {"README.md", "predictor.json", "weights.safetensors"}
    known = json.loads((folder / "predictor.json").read_text())
    assert known["kind"] == kind
    assert known["labels"][1] == {"label": 1, "class": "cat", "colour": [128, 0, 0]}
    assert known["training"]["images"] == 4
    assert known["training"]["images_by_class"] == {"cat": 1, "dog": 1, "owl": 2}
    assert known["training"]["median_size"] == [40, 48]
    assert known["scores"] is None and known["pixel_labels_used"] is False
    assert known["network"]["mean"] == [0.5, 0.5, 0.5]
    with safe_open(folder / "weights.safetensors", framework="pt") as weights:
        assert len(list(weights.keys())) > 10


def test_the_same_inputs_give_the_same_bytes(data: Data) -> None:
    first = folder_bytes(make_predictor(data, "segmenter"))
    assert folder_bytes(make_predictor(data, "segmenter")) == first


def test_the_card_says_what_was_measured(data: Data) -> None:
    write_json(data.path("scores.json"), SCORES)
    folder = make_predictor(data, "segmenter", scores=data.path("scores.json"))
    card = (folder / "README.md").read_text()
    assert "mIoU 50.0, FP 25.0, FN - percent on the split val, 4 images" in card
    assert "| cat | - |" in card
    assert "System: `a/b/c/d`, run 0." in card
    assert "class maps cut at 0.4, without a dense CRF" in card
    assert "`--long-side 48`" in card
    assert json.loads((folder / "predictor.json").read_text())["scores"]["miou"] == 0.5


def test_the_card_says_at_which_size_pictures_are_read(data: Data) -> None:
    folder = make_predictor(data, "segmenter", labels={**LABELS, "long_side": 640})
    card = (folder / "README.md").read_text()
    assert "larger pictures are shown to it at 640 pixels of the longer side" in card
    assert json.loads((folder / "predictor.json").read_text())["training"]["long_side"] == 640


def test_a_card_without_scores_says_so(data: Data) -> None:
    card = (make_predictor(data, "apc") / "README.md").read_text()
    assert "Not measured: the data set has no masks to compare with." in card
    assert "APC" in card


def test_labels_of_pixels_anywhere_in_the_chain_are_said(data: Data) -> None:
    taught = write_trained(data.path("irn"), "segmenter", initial={**INITIAL, "pixel_labels": True})
    folder = make_predictor(data, "segmenter", ancestors=[taught])
    assert json.loads((folder / "predictor.json").read_text())["pixel_labels_used"] is True
    assert "Labels of pixels were used." in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("initial", "said"),
    [
        ({}, "none is needed: it started from random numbers"),
        ({"timm": "tf_efficientnet_lite0.in1k"}, "apache-2.0, as timm states it"),
        ({"file": "package:pretrained/vit_nano.safetensors"}, "MIT, as this project"),
        ({"file": "mine.pth"}, "not known: the weights came from a file"),
    ],
)
def test_the_licence_of_the_initial_weights(data: Data, initial: dict[str, str], said: str) -> None:
    weights = write_trained(data.path("trained"), "segmenter", initial={**INITIAL, **initial})
    assert said in (make_predictor(data, "segmenter", weights=weights) / "README.md").read_text()
