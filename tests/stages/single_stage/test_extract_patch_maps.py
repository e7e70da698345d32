"""Patch maps of the single-stage network in the class maps' common form."""

from pathlib import Path

import pytest
import torch

from tests.support.builders import APC, SHARD, Data, folder_bytes, make_data, write_weights
from tests.support.networks import build_apc
from wsss.artefacts.class_maps import read_maps, stream_maps
from wsss.artefacts.formats import ArtefactError, open_arrays, read_tensors, write_tensors
from wsss.single_stage.registry import SCORES
from wsss.stages.pseudo import make_pseudo_labels
from wsss.stages.single_stage import extract_patch_maps


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Images of odd sizes; the third shows no class."""
    return make_data(tmp_path)


@pytest.fixture
def weights(data: Data) -> Path:
    torch.manual_seed(0)
    return write_weights(data.path("weights"), build_apc(APC, 3))


def run(data: Data, weights: Path, name: str = "maps", side: int = 48) -> Path:
    extract_patch_maps.run(
        manifest=data.manifest,
        weights=weights,
        maps=data.path(name),
        kind="apc",
        network=APC,
        side=side,
        shard=SHARD,
    )
    return data.path(name)


def test_the_readers_of_class_maps_take_them(data: Data, weights: Path) -> None:
    with open_arrays(run(data, weights), "maps") as shard:
        assert shard.params == {"stride": 4, "settings": {"kind": "patches", "side": 48}}
        assert set(shard.inputs) == {"manifest", "weights"}
        for record, item in zip(data.records, stream_maps(shard, data.records), strict=True):
            maps = torch.from_numpy(read_maps(shard, record))  # checks classes and size
            assert maps.dtype == torch.float16
            assert item.upsampled().shape == (len(record.classes), record.height, record.width)
            assert maps.min() >= 0 if len(maps) else maps.shape[0] == 0
            torch.testing.assert_close(
                maps.flatten(1).amax(1), torch.ones(len(maps)).half(), rtol=0, atol=1e-2
            )
    assert len(read_tensors(data.path("maps"), "maps")) == 2 * len(data.records)


def test_pseudo_labels_are_made_of_them(data: Data, weights: Path) -> None:
    paths = {"labels": data.path("labels"), "index": data.path("labels.jsonl")}
    settings = {"threshold": 0.3, "crf": None}
    maps = run(data, weights)
    make_pseudo_labels.run(manifest=data.manifest, maps=maps, **paths, settings=settings, shard=SHARD)
    assert len(folder_bytes(data.path("labels"))) == len(data.records)


def test_the_same_inputs_give_the_same_bytes(data: Data, weights: Path) -> None:
    first, second = run(data, weights, "first"), run(data, weights, "second")
    assert first.read_bytes() == second.read_bytes()
    assert run(data, weights, "other", side=32).read_bytes() != first.read_bytes()


def test_patches_lie_where_the_image_has_them(
    data: Data, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two classes of one image: 0.4 at the top right, 0.8 at the bottom left; the image is no square."""
    scores = torch.zeros(1, 4, 2, 2)
    scores[0, 2, 0, 1], scores[0, 3, 1, 0], scores[:, 0] = 0.4, 0.8, 0.2
    monkeypatch.setitem(SCORES, "apc", lambda *_: scores)
    with open_arrays(run(data, weights), "maps") as shard:
        first, second = torch.from_numpy(
            read_maps(shard, data.records[1])
        ).float()  # 10 x 13 cells of a 40 x 52 image
    assert first[0, -1] == second[-1, 0] == 1  # each is divided by its own maximum
    assert first[-1].max() == first[:, 0].max() == second[0].max() == second[:, -1].max() == 0
    # Centres of rows in patches of 5 cells, of columns in patches of 6.5 cells: bilinear between the two.
    share = (4 + 0.5) / 5 - 0.5
    torch.testing.assert_close(first[4, -1], torch.tensor(1 - share), rtol=0, atol=1e-3)
    share = (6 + 0.5) / 6.5 - 0.5
    torch.testing.assert_close(first[0, 6], torch.tensor(share), rtol=0, atol=1e-3)


def test_maps_that_are_no_numbers_are_refused_by_image(data: Data, weights: Path) -> None:
    state = read_tensors(weights, "weights")
    state["patch_classifier.weight"].fill_(float("nan"))
    write_tensors(weights, "weights", state, {"classes": ["cat", "dog", "owl"]})
    with pytest.raises(ArtefactError, match=r"image0\.png: the network's maps are not finite"):
        run(data, weights)
