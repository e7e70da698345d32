from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from tests.support.builders import SHARD, Data, make_data
from tests.support.networks import crf
from tests.support.predictors import INFERENCES, KINDS, LABELS, NETWORKS, make_predictor
from wsss import load_predictor
from wsss.artefacts.files import ArtefactError
from wsss.artefacts.formats import Labels, read_image, read_label
from wsss.config.datasets import LongSide
from wsss.config.errors import ConfigError
from wsss.prediction import predictor as module
from wsss.prediction.predictor import Predictor
from wsss.stages.segment import predict_masks
from wsss.stages.single_stage import predict_single_stage_masks

STAGES: dict[str, Any] = {"segmenter": predict_masks, "apc": predict_single_stage_masks}
CRF = crf(iterations=2, bilateral_sxy=9)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return make_data(tmp_path)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def large(size: tuple[int, int]) -> Labels:
    """A picture with structure of many sizes."""
    noise = np.random.default_rng(1).integers(0, 255, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(noise).resize(size[::-1], Image.Resampling.BICUBIC))


@pytest.mark.parametrize("crf", [None, CRF])
def test_a_picture_is_labelled_as_by_the_stage(data: Data, kind: str, crf: Any) -> None:
    settings = {**INFERENCES[kind], "crf": crf}
    folder = make_predictor(data, kind, inference=settings)
    STAGES[kind].run(
        manifest=data.manifest,
        weights=folder / "weights.safetensors",
        labels=data.path("masks"),
        index=data.path("masks.jsonl"),
        network=NETWORKS[kind],
        settings=settings,
        **({} if kind == "segmenter" else {"kind": kind}),
        split="val",
        shard=SHARD,
    )
    predictor = load_predictor(folder)
    found = set()
    for record in data.records:
        expected = read_label(data.path("masks"), record.id, (record.height, record.width))
        assert np.array_equal(predictor(record.image).labels, expected)
        found |= set(np.unique(expected))
    assert len(found) > 1


def test_all_forms_of_a_picture_give_one_prediction(data: Data, kind: str) -> None:
    predictor = load_predictor(make_predictor(data, kind))
    path = data.records[0].image
    from_file = predictor(path)
    for other in (predictor(Path(path)), predictor(Image.open(path)), predictor(read_image(path))):
        assert np.array_equal(other.labels, from_file.labels)
    assert from_file.classes == ("background", "cat", "dog", "owl")
    assert from_file.probabilities is not None
    assert from_file.probabilities.dtype == np.float32 and from_file.probabilities.shape == (4, 40, 52)
    np.testing.assert_allclose(from_file.probabilities.sum(0), 1, rtol=1e-5)
    assert np.array_equal(from_file.probabilities.argmax(0), from_file.labels)
    assert predictor(path, probabilities=False).probabilities is None


def test_a_picture_lies_as_viewers_show_it(data: Data) -> None:
    predictor = load_predictor(make_predictor(data, "segmenter"))
    upright = Image.open(data.records[0].image)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise, as phones write it
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(data.path("phone.png"), exif=exif)
    expected = predictor(upright).labels
    assert np.array_equal(predictor(data.path("phone.png")).labels, expected)
    assert np.array_equal(predictor(Image.open(data.path("phone.png"))).labels, expected)


def test_a_batch_gives_what_single_pictures_do(data: Data, kind: str) -> None:
    predictor = load_predictor(make_predictor(data, kind))
    pictures = [read_image(record) for record in data.records] * 2
    pictures.sort(key=lambda picture: picture.shape)  # neighbours of one size
    single = list(predictor.predict(pictures, probabilities=True))
    for one, several in zip(single, predictor.predict(pictures, batch=3, probabilities=True), strict=True):
        assert one.probabilities is not None and several.probabilities is not None
        np.testing.assert_allclose(one.probabilities, several.probabilities, atol=1e-5)


def test_one_size_does_not_wait_for_another(data: Data) -> None:
    """Pictures are taken as they are needed: two of one size, then the next is known to differ."""
    predictor = load_predictor(make_predictor(data, "segmenter"))
    taken = []

    def pictures() -> Any:
        for number, record in enumerate(data.records):
            taken.append(number)
            yield read_image(record)

    predictions = predictor.predict(pictures(), batch=2)
    next(predictions)
    assert taken == [0, 1]


def test_a_large_picture_is_the_whole_one_but_near_the_seams(data: Data) -> None:
    """With one scale, what a tile sees beyond its part is more than the small network reaches."""
    folder = make_predictor(data, "segmenter")
    picture = large((200, 300))
    simple = {"scales": [1.0], "mirror": False}
    whole = load_predictor(folder, inference=simple)(picture)
    tiled = load_predictor(folder, inference=simple, tile=160)(picture)
    assert whole.probabilities is not None and tiled.probabilities is not None
    assert tiled.labels.shape == (200, 300)
    assert np.array_equal(tiled.labels, tiled.probabilities.argmax(0))
    assert (tiled.labels == whole.labels).mean() > 0.9
    assert len(np.unique(whole.labels)) > 1


def test_tiles_of_a_network_that_sees_the_whole_give_the_whole(data: Data) -> None:
    folder = make_predictor(data, "apc")
    picture = large((150, 190))
    whole = load_predictor(folder)(picture)
    tiled = load_predictor(folder, tile=64)(picture)
    assert whole.probabilities is not None and tiled.probabilities is not None
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)


def test_a_long_side_shows_the_network_a_smaller_picture(data: Data) -> None:
    folder = make_predictor(data, "segmenter")
    picture = large((80, 200))
    small = load_predictor(folder)(module.rescale(picture, 0.5))
    shown = load_predictor(folder, long_side=100, tile=128)(picture)  # in tiles, too
    assert small.probabilities is not None and shown.probabilities is not None
    assert shown.labels.shape == (80, 200)
    reduced = shown.probabilities.reshape(4, 40, 2, 100, 2).mean((2, 4))
    assert (reduced.argmax(0) == small.labels).mean() > 0.9
    assert np.array_equal(
        load_predictor(folder, long_side=100)(module.rescale(picture, 0.5)).labels, small.labels
    )


def test_a_data_set_s_own_size_is_that_of_new_pictures_too(data: Data) -> None:
    folder = make_predictor(data, "segmenter", labels={**LABELS, "long_side": 100})
    picture = large((80, 200))
    predictor = load_predictor(folder)
    assert predictor.long_side == 100
    labels = predictor(picture).labels
    assert np.array_equal(labels, load_predictor(folder, long_side=100)(picture).labels)
    assert labels.shape == (80, 200)
    assert load_predictor(folder, long_side=120).long_side == 120


def test_what_a_data_set_may_ask_for_is_seen_at_once() -> None:
    with pytest.raises(ValidationError, match="less than or equal to"):
        TypeAdapter(LongSide).validate_python(module.TILE + 1)


def test_a_full_gpu_is_left_for_single_pictures_and_smaller_tiles(
    data: Data, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_predictor(data, "segmenter")
    pictures = [large((100, 120))] * 3
    expected = [found.labels for found in load_predictor(folder, tile=64).predict(pictures)]
    predictor = load_predictor(folder, tile=128)
    scores = predictor._scorer.scores

    def small_memory(seen: Labels) -> torch.Tensor:
        if seen.shape[0] * seen.shape[1] * seen.shape[2] > 64 * 64:
            raise torch.OutOfMemoryError
        return scores(seen)

    monkeypatch.setattr(predictor._scorer, "scores", small_memory)
    found = [found.labels for found in predictor.predict(pictures, batch=3)]
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    assert caplog.messages == ["the GPU's memory is full: from here on tiles of 64 pixels"]
    monkeypatch.setattr(
        predictor._scorer, "scores", lambda seen: (_ for _ in ()).throw(torch.OutOfMemoryError)
    )
    with pytest.raises(MemoryError, match="with tiles of 64 pixels; take the CPU or fewer scales"):
        predictor(pictures[0])


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("segmenter", {"side": 64}, "inference of this predictor: side: unknown key"),
        ("segmenter", {"scales": []}, r"inference of this predictor: scales: expected at least 1 entries"),
        ("apc", {"mirror": True}, "inference of this predictor: mirror: unknown key"),
    ],
)
def test_settings_of_another_kind_are_refused(data: Data, kind: str, changes: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_predictor(make_predictor(data, kind), inference=changes)


def test_sizes_that_do_not_fit_are_refused(data: Data) -> None:
    folder = make_predictor(data, "segmenter")
    with pytest.raises(ConfigError, match="tile: expected at least 64 pixels, found 63"):
        load_predictor(folder, tile=63)
    with pytest.raises(ConfigError, match="long_side: expected 1 to 64 pixels, a tile's, found 65"):
        load_predictor(folder, tile=64, long_side=65)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_pixels_of_another_form_are_refused(data: Data, pixels: Any) -> None:
    with pytest.raises(ValueError, match=r"image: expected uint8 \(H, W, 3\), found"):
        load_predictor(make_predictor(data, "segmenter"))(pixels)


def test_what_is_no_predictor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"expected the folder of a predictor with predictor\.json"):
        load_predictor(tmp_path)
    (tmp_path / "predictor.json").write_text('{"form": "predictor", "version": 9}')
    with pytest.raises(ArtefactError, match="version 9; package it anew"):
        load_predictor(tmp_path)


def test_a_predictor_needs_nothing_but_its_folder(data: Data, kind: str, tmp_path: Path) -> None:
    folder = make_predictor(data, kind)
    moved = folder.rename(tmp_path / "elsewhere")
    picture = read_image(data.records[0])
    for file in data.folder.glob("*.jsonl"):
        file.unlink()
    data.path(f"{kind}.safetensors").unlink()
    assert isinstance(load_predictor(moved), Predictor)
    assert load_predictor(moved)(picture).labels.shape == (40, 52)
