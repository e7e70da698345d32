"""Views of a data set as ``extract_maps`` stores them, made up, and what dense computation makes of them."""

from typing import Any

import torch
from torch import Tensor

from tests.support.builders import SHARD, Data, random_attention
from wsss.artefacts.formats import read_tensors, write_tensors
from wsss.methods.cam import merge_views
from wsss.methods.class_maps.registry import SETTINGS
from wsss.methods.diffusion import attended, coneighbour_similarity, nearest_coneighbours
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
