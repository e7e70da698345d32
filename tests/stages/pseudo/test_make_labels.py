"""Labels for IRNet and pseudo labels: both cut class maps in a process pool."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.builders import SHARD, Data, folder_bytes, make_data, write_maps
from wsss.artefacts.formats import (
    ArtefactError,
    read_image,
    read_label,
    read_label_index,
    write_json,
    write_tensors,
)
from wsss.config.networks import Crf
from wsss.methods.cam import upsample_maps
from wsss.methods.labels import irn_labels
from wsss.methods.thresholds import threshold_by, value_histogram
from wsss.stages.irn import make_irn_labels
from wsss.stages.pseudo import make_pseudo_labels

CRF = {
    "iterations": 3,
    "gaussian_sxy": 3,
    "gaussian_compat": 3,
    "bilateral_sxy": 50,
    "bilateral_srgb": 5,
    "bilateral_compat": 10,
}
IRN = {"foreground": 0.3, "background": 0.05, "gt_prob": 0.7, "crf": CRF}
RELATIVE = {**IRN, "foreground": {"above": 0.12}, "background": {"below": 0.1}}
STAGES = [
    (make_irn_labels.run, {**RELATIVE, "threshold": "otsu"}),
    (make_pseudo_labels.run, {"threshold": "otsu", "crf": None}),
    (make_irn_labels.run, IRN),
    (make_pseudo_labels.run, {"threshold": 0.25, "crf": None}),
    (make_pseudo_labels.run, {"threshold": 0.25, "crf": CRF}),
]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    made = make_data(tmp_path)
    write_maps(made, made.path("maps"))
    return made


def run(
    stage: Callable[..., None], data: Data, settings: dict[str, Any], name: str = "labels", **more: Path
) -> Path:
    folder, index = data.path(name), data.path(f"{name}.jsonl")
    stage(
        manifest=data.manifest,
        maps=data.path("maps"),
        labels=folder,
        index=index,
        settings=settings,
        shard=SHARD,
        **more,
    )
    return folder


def write_threshold(data: Data, value: float, rule: str = "otsu_dataset") -> Path:
    path = data.path(f"{rule}.json")
    write_json(path, {"form": "threshold", "version": 1, "rule": rule, "threshold": value})
    return path


@pytest.mark.parametrize(("stage", "settings"), STAGES)
def test_labels_have_the_images_sizes_and_classes(
    data: Data, stage: Callable[..., None], settings: dict[str, Any]
) -> None:
    folder = run(stage, data, settings)
    assert read_label_index(data.path("labels.jsonl")).ids == tuple(record.id for record in data.records)
    for record in data.records:
        label = read_label(folder, record.id, (record.height, record.width))
        assert set(np.unique(label)) <= {0, 255, *(name + 1 for name in record.classes)}
        assert record.classes or not label.any()
        assert not record.classes or set(np.unique(label)) & {name + 1 for name in record.classes}


@pytest.mark.parametrize(("stage", "settings"), STAGES)
def test_bytes_do_not_depend_on_the_workers(
    data: Data, monkeypatch: pytest.MonkeyPatch, stage: Callable[..., None], settings: dict[str, Any]
) -> None:
    alone = folder_bytes(run(stage, data, settings, "alone"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert folder_bytes(run(stage, data, settings, "together")) == alone
    assert data.path("alone.jsonl").read_bytes() == data.path("together.jsonl").read_bytes()


def test_irn_labels_are_those_of_the_method(data: Data) -> None:
    maps = write_maps(data, data.path("maps"))
    folder = run(make_irn_labels.run, data, IRN)
    record = data.records[1]
    size = (record.height, record.width)
    scores = upsample_maps(maps[f"{record.id}/maps"].float(), 4, size).numpy()
    expected = irn_labels(read_image(record), scores, record.classes, **{**IRN, "crf": Crf(**CRF)})
    assert np.array_equal(read_label(folder, record.id, size), expected)


def test_pseudo_labels_are_the_strongest_above_the_threshold(data: Data) -> None:
    maps = write_maps(data, data.path("maps"))
    folder = run(make_pseudo_labels.run, data, {"threshold": 0.4, "crf": None})
    record = data.records[2 - 1]
    size = (record.height, record.width)
    scores = upsample_maps(maps[f"{record.id}/maps"].float(), 4, size)
    best, place = scores.max(0)
    expected = torch.where(best > 0.4, torch.tensor(record.classes)[place] + 1, 0)
    assert np.array_equal(read_label(folder, record.id, size), expected.numpy())


@pytest.mark.parametrize("crf", [None, CRF])
def test_each_image_is_cut_at_its_own_threshold(data: Data, crf: dict[str, float] | None) -> None:
    maps = write_maps(data, data.path("maps"))
    maps["img0/maps"] = maps["img0/maps"] * 0.5  # the same map, half as strong: the same labels
    write_tensors(data.path("maps"), "maps", maps, {"stride": 4})
    folder = run(make_pseudo_labels.run, data, {"threshold": "otsu", "crf": crf}, "own")
    for record in (record for record in data.records if record.classes):
        threshold = threshold_by("otsu", value_histogram(maps[f"{record.id}/maps"].numpy()))
        alike = run(make_pseudo_labels.run, data, {"threshold": threshold, "crf": crf}, f"at{threshold}")
        size = (record.height, record.width)
        assert np.array_equal(read_label(folder, record.id, size), read_label(alike, record.id, size))
    assert read_label_index(data.path("own.jsonl")).params["settings"]["threshold"] == "otsu"


def test_all_images_are_cut_at_the_data_set_s_threshold(data: Data) -> None:
    file = write_threshold(data, 0.4)
    folder = run(make_pseudo_labels.run, data, {"threshold": "otsu_dataset", "crf": None}, threshold=file)
    alike = run(make_pseudo_labels.run, data, {"threshold": 0.4, "crf": None}, "number")
    assert folder_bytes(folder) == folder_bytes(alike)
    index = read_label_index(data.path("labels.jsonl"))
    assert (index.params["threshold"], index.params["settings"]["threshold"]) == (0.4, "otsu_dataset")
    assert set(index.inputs) == {"manifest", "maps", "threshold"}


def test_a_data_set_s_threshold_without_its_file_is_refused(data: Data) -> None:
    with pytest.raises(ArtefactError, match="threshold otsu_dataset: expected the file"):
        run(make_pseudo_labels.run, data, {"threshold": "otsu_dataset", "crf": None})


@pytest.mark.parametrize("threshold", [0.4, "otsu", "otsu_dataset"])
def test_irn_labels_are_cut_beside_the_threshold_that_the_maps_have(
    data: Data, threshold: float | str
) -> None:
    maps = write_maps(data, data.path("maps"))
    file = {"threshold": write_threshold(data, 0.4)} if threshold == "otsu_dataset" else {}
    folder = run(make_irn_labels.run, data, {**RELATIVE, "threshold": threshold}, **file)
    for record in (record for record in data.records if record.classes):
        stored, size = maps[f"{record.id}/maps"], (record.height, record.width)
        own = threshold_by("otsu", value_histogram(stored.numpy())) if threshold == "otsu" else 0.4
        chosen = {**IRN, "foreground": own + 0.12, "background": own - 0.1, "crf": Crf(**CRF)}
        scores = upsample_maps(stored.float(), 4, size).numpy()
        expected = irn_labels(read_image(record), scores, record.classes, **chosen)
        assert np.array_equal(read_label(folder, record.id, size), expected)


def test_the_crf_follows_the_picture(data: Data) -> None:
    record = data.records[0]
    truth = np.zeros((record.height, record.width), dtype=bool)
    truth[8:24, 10:28] = True

    def error(crf: dict[str, float] | None, name: str) -> float:
        folder = run(make_pseudo_labels.run, data, {"threshold": 0.25, "crf": crf}, name)
        return float(((read_label(folder, record.id, truth.shape) > 0) != truth).mean())

    assert error(CRF, "with") < error(None, "without")


def test_shares_sum_to_one_where_nothing_scores() -> None:
    planes = make_pseudo_labels.probabilities(np.zeros((2, 3, 3), np.float32), 0.0)
    np.testing.assert_allclose(planes, np.full((3, 3, 3), 1 / 3), rtol=1e-6)


def test_maps_of_another_size_are_refused_by_name(data: Data) -> None:
    maps = write_maps(data, data.path("maps"))
    maps["img0/maps"] = maps["img0/maps"][:, 1:]
    write_tensors(data.path("maps"), "maps", maps)
    with pytest.raises(ArtefactError, match=r"maps: image 'img0': expected maps \(1, 10, 13\)"):
        run(make_pseudo_labels.run, data, {"threshold": 0.3, "crf": None})
    assert not data.path("labels").exists() and not data.path("labels.jsonl").exists()


@pytest.mark.parametrize("shard", ["3", "001of001", "all"])
def test_a_bad_shard_name_is_refused(data: Data, shard: str) -> None:
    with pytest.raises(ArtefactError, match="expected a name such as 002of048"):
        make_pseudo_labels.run(
            manifest=data.manifest,
            maps=data.path("maps"),
            labels=data.path("labels"),
            index=data.path("labels.jsonl"),
            settings={"threshold": 0.3, "crf": None},
            shard=shard,
        )


def test_a_picture_cut_short_is_refused_by_name(data: Data) -> None:
    picture = Path(data.records[3].image)
    picture.write_bytes(picture.read_bytes()[:900])
    with pytest.raises(ArtefactError, match=r"image3\.png"):
        run(make_irn_labels.run, data, IRN)
