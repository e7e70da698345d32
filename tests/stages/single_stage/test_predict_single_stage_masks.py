"""Segmenting by the single-stage network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.support.builders import APC, SHARD, STATISTICS, Data, folder_bytes, make_data, write_weights
from tests.support.networks import build_apc, crf
from wsss.artefacts.class_maps import size_of
from wsss.artefacts.formats import (
    ArtefactError,
    read_image,
    read_label,
    read_label_index,
    read_manifest,
    write_manifest,
)
from wsss.config.networks import Crf
from wsss.data.transforms import normalise, resize_square, to_tensor
from wsss.methods.crf import dense_crf
from wsss.stages.single_stage import predict_single_stage_masks

PLAIN: dict[str, Any] = {"side": 48, "tags": False, "crf": None, "source": "decoder"}
CRF = crf(iterations=3, bilateral_sxy=9)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path)


@pytest.fixture
def weights(data: Data) -> Path:
    return write_weights(data.path("weights"), network())


def network() -> Any:
    """Random, but for larger steps between patches than a new network makes."""
    torch.manual_seed(1)
    built = build_apc(APC, 3).eval()
    torch.nn.init.normal_(built.patch_classifier.weight, std=8.0)
    return built


def run(data: Data, weights: Path, name: str = "masks", manifest: Path | None = None, **changes: Any) -> Path:
    predict_single_stage_masks.run(
        manifest=manifest or data.manifest,
        weights=weights,
        labels=data.path(name),
        index=data.path(f"{name}.jsonl"),
        kind="apc",
        network=APC,
        settings={**PLAIN, **changes},
        split="val",
        shard=SHARD,
    )
    return data.path(name)


def probabilities(record: Any, source: str) -> torch.Tensor:
    """What the network says of the image's pixels, (C+1, H, W)."""
    image = to_tensor(normalise(resize_square(read_image(record), 48), **STATISTICS))
    with torch.no_grad():
        output = network()(image[None])
    patches = output.scores[0].T.reshape(1, 4, 6, 6)
    maps = patches if source == "patches" else output.pixel_logits
    enlarged = F.interpolate(maps, size_of(record), mode="bilinear", align_corners=False)[0]
    return enlarged if source == "patches" else enlarged.softmax(0)  # a decoder's logits, as in training


def read_all(data: Data, folder: Path) -> list[np.ndarray]:
    return [read_label(folder, record.id, size_of(record)) for record in data.records]


@pytest.mark.parametrize("source", ["decoder", "patches"])
def test_each_pixel_has_its_most_probable_label(data: Data, weights: Path, source: str) -> None:
    labels = read_all(data, run(data, weights, source=source))  # sizes are checked as they are read
    for record, label in zip(data.records, labels, strict=True):
        assert np.array_equal(label, probabilities(record, source).argmax(0).numpy())
    assert len(np.unique(np.concatenate([label.ravel() for label in labels]))) > 1


def test_the_index_says_how_it_was_made(data: Data, weights: Path) -> None:
    run(data, weights)
    index = read_label_index(data.path("masks.jsonl"))
    assert index.ids == tuple(record.id for record in data.records)
    assert index.params == {"settings": PLAIN, "split": "val"}
    assert set(index.inputs) == {"manifest", "weights"}


@pytest.mark.parametrize("crf", [None, CRF])
def test_the_same_inputs_give_the_same_bytes_for_any_number_of_threads(
    data: Data, weights: Path, monkeypatch: pytest.MonkeyPatch, crf: Any
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    first = run(data, weights, "first", crf=crf)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    second = run(data, weights, "second", crf=crf)
    assert folder_bytes(first) == folder_bytes(second)
    assert (data.path("first.jsonl")).read_bytes() == (data.path("second.jsonl")).read_bytes()


def test_without_tags_the_image_labels_are_not_read(data: Data, weights: Path) -> None:
    manifest = read_manifest(data.manifest)
    others = tuple(replace(record, classes=()) for record in manifest.records)
    write_manifest(data.path("others.jsonl"), replace(manifest, records=others))
    plain = run(data, weights, "plain", crf=CRF)
    blind = run(data, weights, "blind", manifest=data.path("others.jsonl"), crf=CRF)
    assert folder_bytes(plain) == folder_bytes(blind)


@pytest.mark.parametrize("crf", [None, CRF])
def test_with_tags_only_known_classes_and_background_win(data: Data, weights: Path, crf: Any) -> None:
    labels = read_all(data, run(data, weights, tags=True, source="patches", crf=crf))
    for record, label in zip(data.records, labels, strict=True):
        kept = [0, *(name + 1 for name in record.classes)]
        planes = probabilities(record, "patches")[kept]
        planes = (planes / planes.sum(0)).numpy()
        if crf is not None:
            planes = dense_crf(read_image(record), planes, Crf(**crf))
        assert np.array_equal(label, np.array(kept)[planes.argmax(0)])
    assert not labels[2].any()  # no class is known of this image
    assert labels[1].max() == 3  # the second of its planes is not label 2 alone


def test_tags_of_a_split_without_labels_are_refused(data: Data, weights: Path) -> None:
    manifest = read_manifest(data.manifest)
    records = tuple(replace(record, classes=()) for record in manifest.records)
    path = data.path("untagged.jsonl")
    write_manifest(path, replace(manifest, records=records))
    with pytest.raises(ArtefactError, match=r"untagged\.jsonl: expected image labels of 'val' for an inf"):
        run(data, weights, "untagged", path, tags=True)
    assert not data.path("untagged").exists()
    run(data, weights, "untagged", path)  # without tags they are not needed


def test_where_no_known_class_has_any_probability_background_wins(data: Data) -> None:
    planes = torch.zeros(4, 2, 2)
    planes[2] = 1.0  # the only class with a probability that single precision can hold
    item = predict_single_stage_masks._masked(replace(data.records[0], classes=(0,)), planes)
    assert np.isfinite(item.probabilities).all()
    assert item.labels == [0, 1] and not item.probabilities.argmax(0).any()


def test_the_crf_sees_the_real_picture(data: Data, weights: Path) -> None:
    labels = read_all(data, run(data, weights, crf=CRF))
    for record, label in zip(data.records, labels, strict=True):
        refined = dense_crf(read_image(record), probabilities(record, "decoder").numpy(), Crf(**CRF))
        assert np.array_equal(label, refined.argmax(0))


def test_the_side_changes_what_the_network_sees(data: Data, weights: Path) -> None:
    small, large = (run(data, weights, str(side), side=side, source="patches") for side in (32, 64))
    assert folder_bytes(small) != folder_bytes(large)


def test_unknown_sources_and_broken_patches_are_refused(data: Data, weights: Path) -> None:
    with pytest.raises(ValueError, match=r"source: expected one of \['decoder', 'patches'\], found 'maps'"):
        run(data, weights, source="maps")
    with pytest.raises(ValueError, match=r"side: expected a multiple of .* 8 pixels, found 50"):
        run(data, weights, side=50)
    assert not data.path("masks").exists()
