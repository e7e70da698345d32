from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.builders import SHARD, STATISTICS, Data, folder_bytes, make_data, write_weights
from tests.support.networks import build_segmenter, crf
from wsss.artefacts.formats import read_image, read_label, read_label_index, read_manifest
from wsss.config.networks import Crf
from wsss.config.segmenters import Inference, SegmenterNetwork
from wsss.methods.crf import dense_crf
from wsss.prediction.scorers import load_segmenter, probabilities_of
from wsss.stages.segment import predict_masks

BACKBONE = {"model": "resnet18", "arguments": {"channels": [8, 8, 16, 16]}, "output_stride": 8}
NETWORK = {
    "backbone": BACKBONE,
    "rates": [1, 2],
    "multi_scale": [0.5],
    "loss": "cross_entropy",
    **STATISTICS,
}
SINGLE = {"scales": [1.0], "mirror": False, "crf": None}
MULTI_CRF = {"scales": [0.5, 1.0, 1.25], "mirror": True, "crf": crf(iterations=3)}


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path)


@pytest.fixture
def weights(data: Data) -> Path:
    torch.manual_seed(0)
    return write_weights(data.path("weights"), build_segmenter(NETWORK, 4))


def run(data: Data, weights: Path, settings: dict[str, Any], name: str = "masks") -> Path:
    predict_masks.run(
        manifest=data.manifest,
        weights=weights,
        labels=data.path(name),
        index=data.path(f"{name}.jsonl"),
        network=NETWORK,
        settings=settings,
        split="val",
        shard=SHARD,
    )
    return data.path(name)


@pytest.mark.parametrize("settings", [SINGLE, MULTI_CRF])
def test_masks_have_the_images_sizes(data: Data, weights: Path, settings: dict[str, Any]) -> None:
    folder = run(data, weights, settings)
    assert read_label_index(data.path("masks.jsonl")).params == {"settings": settings, "split": "val"}
    for record in data.records:
        assert read_label(folder, record.id, (record.height, record.width)).max() < 4


def test_bytes_do_not_depend_on_the_workers(
    data: Data, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = folder_bytes(run(data, weights, MULTI_CRF, "alone"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert folder_bytes(run(data, weights, MULTI_CRF, "together")) == alone


def test_the_crf_sees_the_real_picture(data: Data, weights: Path) -> None:
    record = data.records[0]
    folder = run(data, weights, {**SINGLE, "crf": crf(iterations=3)})
    scorer = load_segmenter(
        weights, read_manifest(data.manifest), SegmenterNetwork(**NETWORK), Inference(**SINGLE)
    )
    picture = read_image(record)
    (planes,) = probabilities_of(scorer, picture[None])
    probabilities = planes.numpy()
    expected = dense_crf(picture, probabilities, Crf(**crf(iterations=3))).argmax(0)
    assert np.array_equal(read_label(folder, record.id, (record.height, record.width)), expected)
