"""Turn the classifier's stored views into one class map a class: plain, coupled or diffused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wsss.artefacts.class_maps import MAP_STRIDE, check_classes, grid_size, size_of
from wsss.artefacts.formats import (
    ArtefactError,
    PathLike,
    Record,
    TensorShard,
    Values,
    open_tensors,
    read_manifest,
)
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, tensor_shard
from wsss.data.transforms import scaled_size
from wsss.methods.cam import merge_views, normalise, peaks
from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.registry import MAPS, SETTINGS, SOURCES
from wsss.runtime.device import device

log = logging.getLogger(__name__)


class StoredTensors(NamedTuple):
    """What one open file stores of one view of one image: the image's id and the view's number."""

    shard: TensorShard
    image: str
    number: int

    @property
    def params(self) -> Values:
        """What was asked of ``extract_maps``."""
        return self.shard.params

    def read(self, name: str) -> Tensor:
        """One tensor by name, float32 or int64."""
        key = f"{self.image}/{name}{self.number}"
        if key not in self.shard:
            raise self.refusal(
                f"no {key!r}; the method needs what this classifier does not have "
                "(attention) or its `views` do not store"
            )
        tensor = self.shard.get(key)  # widened here: few operations know the stored types
        return (tensor.float() if tensor.is_floating_point() else tensor.long()).to(device())

    def refusal(self, said: str) -> ArtefactError:
        """An error that names the file."""
        return ArtefactError(f"{self.shard.path}: {said}")


class StoredView(NamedTuple):
    """One view of one image, in the files of the class maps and of the attention."""

    cams: StoredTensors
    attention: StoredTensors


def _stored_view(cams: TensorShard, attention: TensorShard, image: str, number: int) -> StoredView:
    """A view of an image by its number, of which nothing is read yet."""
    return StoredView(StoredTensors(cams, image, number), StoredTensors(attention, image, number))


@again_if_overtaken
def run(
    *,
    manifest: PathLike,
    cams: PathLike,
    attention: PathLike,
    maps: PathLike,
    settings: dict[str, Any],
    shard: str,
) -> None:
    """Write one shard's class maps by one of :data:`MAPS`.

    Args:
        manifest: The data set.
        cams: The views' class maps, from ``extract_maps``.
        attention: The views' co-neighbours and class attention.
        maps: Where to write the maps, float16 (K, h, w) in [0, 1], a quarter of the image's size.
        settings: The method's, by its ``kind``.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    kind = settings["kind"]
    asked = SETTINGS[kind].model_validate(settings)
    records = read_manifest(manifest).shard("train", shard)
    with open_tensors(cams, "views") as views, open_tensors(attention, "attention") as neighbours:
        provenance = Provenance(
            "diffuse_cams",
            settings={"settings": asked.model_dump(), "shard": shard},
            params={"stride": MAP_STRIDE, "settings": asked.model_dump(), "views": views.params},
            inputs={"manifest": manifest, "cams": cams, "attention": attention},
        )
        with tensor_shard({"maps": maps}, records, provenance, f"class maps by {kind}") as out:
            for record in out.missing:
                out.write({"maps": _tensors(views, neighbours, record, kind, asked)})
    log.info("%s: maps of %d images by %s", shard, len(records), kind)


def _tensors(
    views: TensorShard, neighbours: TensorShard, record: Record, kind: str, settings: ViewsMethod
) -> dict[str, Tensor]:
    """What is stored of one image, by name."""
    check_classes(views, record)
    return {
        f"{record.id}/classes": torch.tensor(record.classes, dtype=torch.int64),
        f"{record.id}/maps": _maps(views, neighbours, record, kind, settings).half(),
    }


def _maps(
    views: TensorShard, neighbours: TensorShard, record: Record, kind: str, settings: ViewsMethod
) -> Tensor:
    """Maps of one image, merged over its views, (K, ceil(H/4), ceil(W/4))."""
    if not record.classes:
        return torch.zeros(0, *grid_size(record))
    size = size_of(record)
    flips = (False, True) if views.params["mirror"] else (False,)
    kinds = [(scale, flip) for scale in views.params["scales"] for flip in flips]
    stored = [_stored_view(views, neighbours, record.id, number) for number in range(len(kinds))]
    maps = [VIEWS[settings.normalise_views](view, kind, MAPS[kind](view, settings)) for view in stored]
    sizes = [scaled_size(size, scale) for scale, _ in kinds]
    mirrored = [flip for _, flip in kinds]
    stride = views.params["stride"]
    return merge_views(maps, sizes, mirrored, size, stride=stride, grid=MAP_STRIDE).cpu()


def _before(view: StoredView, kind: str, maps: Tensor) -> Tensor:
    """As if the view's maps had been divided first (AD-CAM, Eq. 2), for every method is linear in them."""
    return maps / peaks(SOURCES[kind](view))


VIEWS: dict[str, Callable[[StoredView, str, Tensor], Tensor]] = {
    "before": _before,
    "after": lambda view, kind, maps: normalise(maps),
    "never": lambda view, kind, maps: maps,
}
