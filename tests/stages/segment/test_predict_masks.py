from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.builders import SHARD, STATISTICS, Data, folder_bytes, make_data, write_weights
from wsss.artefacts.formats import read_image, read_label, read_label_index, read_manifest
from wsss.methods.crf import dense_crf
from wsss.models.deeplabv2 import build_segmenter
from wsss.models.outputs import pad_to_multiple
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
MULTI_CRF = {"scales": [0.5, 1.0, 1.25], "mirror": True, "crf": {"iterations": 3}}


class Cells(nn.Module):
    """Two labels, scored by the brightness of each cell of 8 x 8 pixels; padding scores far above all."""

    def logits(self, images: Tensor) -> Tensor:
        inside = pad_to_multiple(torch.ones_like(images[:, :1]), 8)
        filled = torch.where(inside == 0, 100.0, pad_to_multiple(images[:, :1], 8))
        cells = nn.functional.avg_pool2d(filled, 8)
        return torch.cat([torch.zeros_like(cells), cells], dim=1)


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
    folder = run(data, weights, {**SINGLE, "crf": {"iterations": 3}})
    network = build_segmenter(NETWORK, 4)
    loaded = predict_masks.load_network(network, weights, read_manifest(data.manifest))
    picture = read_image(record)
    image = predict_masks.to_tensor(predict_masks.normalise(picture, **STATISTICS))
    probabilities = predict_masks.predict(loaded, image, 8, [1.0], False).numpy()
    expected = dense_crf(picture, probabilities, {"iterations": 3}).argmax(0)
    assert np.array_equal(read_label(folder, record.id, (record.height, record.width)), expected)


def test_probabilities_sum_to_one_at_any_size() -> None:
    image = torch.rand(3, 37, 45)
    found = predict_masks.predict(Cells(), image, 8, [0.5, 1.0, 1.5], True)
    assert found.shape == (2, 37, 45)
    torch.testing.assert_close(found.sum(0), torch.ones(37, 45))


def test_padding_does_not_change_the_prediction_inside() -> None:
    image = torch.rand(3, 37, 45)
    whole = predict_masks.predict(Cells(), image[:, :32, :40], 8, [1.0], False)
    padded = predict_masks.predict(Cells(), image, 8, [1.0], False)
    torch.testing.assert_close(padded[:, :28, :36], whole[:, :28, :36])


def test_the_largest_logit_of_all_views_wins() -> None:
    image = torch.rand(3, 32, 48)
    views = [predict_masks.predict(Cells(), image, 8, [scale], False) for scale in (0.5, 1.0)]
    both = predict_masks.predict(Cells(), image, 8, [0.5, 1.0], False)
    torch.testing.assert_close(both, torch.where(views[0][1] > views[1][1], views[0], views[1]))


def test_the_mirror_is_turned_back() -> None:
    image = torch.rand(3, 32, 48)
    plain = predict_masks.predict(Cells(), image, 8, [1.0], False)
    torch.testing.assert_close(predict_masks.predict(Cells(), image, 8, [1.0], True), plain)


def test_no_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scales: expected at least one"):
        predict_masks.predict(Cells(), torch.rand(3, 8, 8), 8, [], True)
