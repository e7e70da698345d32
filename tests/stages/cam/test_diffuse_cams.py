from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.builders import make_data
from tests.support.stored_files import CACHED, Stored
from wsss.artefacts.formats import ArtefactError
from wsss.methods.cam import normalise
from wsss.methods.class_maps.registry import MAPS, NEED_ATTENTION
from wsss.methods.diffusion import (
    diffuse,
    refine_attention,
)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(make_data(tmp_path))


def assert_maps(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 2e-3) -> None:
    for image, maps in expected.items():
        assert found[f"{image}/maps"].dtype == torch.float16
        torch.testing.assert_close(found[f"{image}/maps"].float(), maps, rtol=0, atol=tolerance)


def test_maps_are_a_quarter_of_the_image_and_at_most_one(stored: Stored) -> None:
    found = stored.run(kind="adcam", neighbours=50, steps=2)
    for record in stored.data.records:
        maps = found[f"{record.id}/maps"]
        assert maps.shape == (len(record.classes), -(-record.height // 4), -(-record.width // 4))
        assert found[f"{record.id}/classes"].tolist() == list(record.classes)
        assert not len(maps) or 0.99 < maps.max() <= 1


def test_views_may_be_normalised_after_the_method(stored: Stored) -> None:
    each = {
        key: normalise(diffuse(cam.flatten(1), refine_attention(stored.matrices[key], 20), 2))
        for key, cam in stored.cams.items()
    }
    settings = {"kind": "adcam", "neighbours": 20, "steps": 2, "normalise_views": "after"}
    assert_maps(stored.run(**settings), stored.merged(each))


def dense(stored: Stored, kind: str, before: bool = False) -> dict[str, Tensor]:
    """Merged maps by whole matrices; ``before``: each view's own map is divided by its maximum first."""

    def made(key: tuple[str, int]) -> Tensor:
        source = stored.semantic[key].float().relu() if kind == "tscam" else stored.cams[key]
        peak = source.amax((1, 2), keepdim=True) if before else 1
        if kind == "transcam":  # the raw maps divided, then gathered
            return stored.gathered[key].float().relu() / peak
        maps = (source / peak).flatten(1)
        if kind == "adcam":
            return diffuse(maps, refine_attention(stored.matrices[key], 20), 2)
        if kind == "attention_diffusion":
            return diffuse(maps, stored.matrices[key], 2)
        return maps if kind == "cam" else maps * stored.tokens[key].float()

    return stored.merged({key: made(key) for key in stored.cams})


@pytest.mark.parametrize("kind", MAPS)
def test_maps_of_each_kind_are_merged_over_the_views(stored: Stored, kind: str) -> None:
    assert_maps(stored.run(kind=kind, neighbours=20, steps=2), dense(stored, kind))


@pytest.mark.parametrize("kind", MAPS)
def test_views_may_be_normalised_before_the_method(stored: Stored, kind: str) -> None:
    """Each view's own map is divided by its maximum, then it goes through the method (Eq. 2, 7 and 8)."""
    expected = dense(stored, kind, before=True)
    assert_maps(stored.run(kind=kind, neighbours=20, steps=2, normalise_views="before"), expected)
    never = stored.run(kind=kind, neighbours=20, steps=2, normalise_views="never")
    assert not torch.equal(never["img0/maps"], expected["img0"].half())


def test_same_input_gives_the_same_bytes(stored: Stored) -> None:
    for name in ("first", "second"):
        stored.run(name, kind="adcam", neighbours=20, steps=2)
    assert stored.data.path("first").read_bytes() == stored.data.path("second").read_bytes()


def test_more_neighbours_than_stored_are_refused(stored: Stored) -> None:
    with pytest.raises(ArtefactError, match=r"attention\.safetensors: 61 co-neighbours .* 60 are stored"):
        stored.run(kind="adcam", neighbours=CACHED + 1, steps=2)


def test_more_steps_than_stored_are_refused(stored: Stored) -> None:
    with pytest.raises(ArtefactError, match=r"cams\.safetensors: .*3 steps is asked for, 2 are stored"):
        stored.run(kind="attention_diffusion", steps=3)


def test_another_direction_than_the_stored_one_is_refused(stored: Stored) -> None:
    message = r"cams\.safetensors: .*direction 'hand_on' is asked for, 'gather' is stored"
    with pytest.raises(ArtefactError, match=message):
        stored.run(kind="attention_diffusion", steps=1, direction="hand_on")


@pytest.mark.parametrize("kind", NEED_ATTENTION)
def test_a_network_without_attention_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    stored = Stored(make_data(tmp_path), attention=False)
    with pytest.raises(ArtefactError, match=r"(cams|attention)\.safetensors: no 'img0/.*attention"):
        stored.run(kind=kind, neighbours=20, steps=1)
    assert not stored.data.path("maps.safetensors").exists()


def test_a_network_without_attention_has_class_maps(tmp_path: Path) -> None:
    stored = Stored(make_data(tmp_path), attention=False)
    assert_maps(stored.run(kind="cam"), stored.merged(stored.cams))


def test_soft_without_similarities_is_refused(tmp_path: Path) -> None:
    stored = Stored(make_data(tmp_path), similarity=False)
    with pytest.raises(ArtefactError, match="similarities0"):
        stored.run(kind="adcam", neighbours=20, steps=1, soft=True)


def test_other_classes_than_the_manifest_are_refused(tmp_path: Path) -> None:
    stored = Stored(make_data(tmp_path))
    make_data(tmp_path, classes=((1,), (1, 2), (), (2,)))
    with pytest.raises(ArtefactError, match=r"cams\.safetensors: image 'img0': expected classes \[1\]"):
        stored.run(kind="cam")
