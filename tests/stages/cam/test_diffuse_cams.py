from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.builders import SHARD, Data, make_data, random_attention
from wsss.artefacts.formats import ArtefactError, read_tensors, write_tensors
from wsss.methods.cam import merge_views, normalise
from wsss.methods.class_maps.registry import MAPS, NEED_ATTENTION, SETTINGS
from wsss.methods.diffusion import (
    attended,
    coneighbour_similarity,
    diffuse,
    nearest_coneighbours,
    refine_attention,
)
from wsss.stages.cam import diffuse_cams

SCALES = [1.0, 0.5]
VIEWS = [(scale, flip) for scale in SCALES for flip in (False, True)]
STRIDE = 4
CACHED = 60  # more than the 50 of the method, fewer than the 130 tokens of the first view


class Stored:
    """Views of random maps and attention, as ``extract_maps`` writes them, and their dense originals."""

    def __init__(
        self, data: Data, attention: bool = True, similarity: bool = True, direction: str = "gather"
    ) -> None:
        self.data = data
        self.cams: dict[tuple[str, int], Tensor] = {}
        self.matrices: dict[tuple[str, int], Tensor] = {}
        self.tokens: dict[tuple[str, int], Tensor] = {}
        self.semantic: dict[tuple[str, int], Tensor] = {}
        self.gathered: dict[tuple[str, int], Tensor] = {}
        maps: dict[str, Tensor] = {}
        lists: dict[str, Tensor] = {}
        generator = torch.Generator().manual_seed(1)
        for record in data.records:
            maps[f"{record.id}/classes"] = torch.tensor(record.classes, dtype=torch.int64)
            for view, (scale, _) in enumerate(VIEWS if record.classes else []):
                grid = [-(-round(side * scale) // STRIDE) for side in (record.height, record.width)]
                cam = torch.randn(len(record.classes), *grid, generator=generator).half()
                key, matrix = (record.id, view), random_attention(grid[0] * grid[1], view)
                self.cams[key], self.matrices[key] = cam.float().relu(), matrix
                maps[f"{record.id}/cam{view}"] = cam
                if attention:
                    stack = attended(self.cams[key].flatten(1), matrix, 2, direction=direction)
                    maps[f"{record.id}/attended{view}"] = stack.unflatten(2, grid).half()
                    for name, kept in (("tokens", self.semantic), ("transcam", self.gathered)):
                        kept[key] = torch.randn(cam.shape, generator=generator).half()
                        maps[f"{record.id}/{name}{view}"] = kept[key]
                    index, values = nearest_coneighbours(matrix, CACHED)
                    self.tokens[key] = torch.rand(len(matrix), generator=generator).half()
                    lists[f"{record.id}/neighbours{view}"] = index.to(torch.uint16)
                    lists[f"{record.id}/values{view}"] = values.half()
                    lists[f"{record.id}/token{view}"] = self.tokens[key]
                    if similarity:
                        close = coneighbour_similarity(matrix).gather(1, index)
                        lists[f"{record.id}/similarities{view}"] = close.half()
        params = {"scales": SCALES, "mirror": True, "stride": STRIDE, "attention_direction": direction}
        write_tensors(data.path("cams.safetensors"), "views", maps, params)
        write_tensors(data.path("attention.safetensors"), "attention", lists, params)

    def run(self, name: str = "maps.safetensors", **settings: Any) -> dict[str, Tensor]:
        """Run the stage with those of the settings that the method has."""
        known = SETTINGS[settings["kind"]].model_fields
        diffuse_cams.run(
            manifest=self.data.manifest,
            cams=self.data.path("cams.safetensors"),
            attention=self.data.path("attention.safetensors"),
            maps=self.data.path(name),
            settings={key: value for key, value in settings.items() if key in known},
            shard=SHARD,
        )
        return self.read(name)

    def read(self, name: str = "maps.safetensors") -> dict[str, Tensor]:
        return read_tensors(self.data.path(name), "maps")

    def merged(self, views: dict[tuple[str, int], Tensor]) -> dict[str, Tensor]:
        """The dense computation's maps, merged over the views."""
        result = {}
        for record in self.data.records:
            if record.classes:
                size = (record.height, record.width)
                sizes = [(round(size[0] * scale), round(size[1] * scale)) for scale, _ in VIEWS]
                maps = [
                    views[record.id, view].reshape_as(self.cams[record.id, view])
                    for view in range(len(VIEWS))
                ]
                result[record.id] = merge_views(maps, sizes, [flip for _, flip in VIEWS], size, stride=STRIDE)
        return result


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
