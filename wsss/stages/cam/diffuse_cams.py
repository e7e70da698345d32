"""Turn the classifier's stored views into one class map a class: plain, coupled or diffused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wsss.artefacts.class_maps import MAP_STRIDE, check_classes, grid_size, size_of
from wsss.artefacts.formats import ArtefactError, PathLike, Record, TensorShard, open_tensors, read_manifest
from wsss.artefacts.shard_writer import Provenance, again_if_overtaken, tensor_shard
from wsss.data.transforms import scaled_size
from wsss.methods.cam import merge_views, normalise, peaks
from wsss.methods.diffusion import diffuse, token_count, transition_from_neighbours
from wsss.runtime.device import device

log = logging.getLogger(__name__)


class View(NamedTuple):
    """One stored view of one image, read lazily: the two open files, the image's id and the view's number."""

    cams: TensorShard
    attention: TensorShard
    image: str
    number: int

    def cam(self) -> Tensor:
        """Activation of the present classes, not negative, (K, h, w)."""
        return self._read(self.cams, "cam").relu()

    def token_map(self) -> Tensor:
        """Activation by the classes of the transformer's tokens, not negative, (K, h, w)."""
        return self._read(self.cams, self.cams.params.get("token_maps") or "tokens").relu()

    def transcam(self) -> Tensor:
        """Activation gathered over the attention of all blocks, not negative, (K, h, w)."""
        return self._read(self.cams, "transcam").relu()

    def attended(self) -> Tensor:
        """Activation after 1..S steps of unrefined attention, (S, K, h, w)."""
        return self._read(self.cams, "attended")

    def of_attention(self, name: str) -> Tensor:
        """Read ``neighbours``, ``values``, ``similarities`` (N, m) or ``token`` (N,)."""
        return self._read(self.attention, name)

    def _read(self, shard: TensorShard, name: str) -> Tensor:
        key = f"{self.image}/{name}{self.number}"
        if key not in shard:
            raise ArtefactError(
                f"{shard.path}: no {key!r}; the method needs what this classifier does not have "
                "(attention) or its `views` do not store"
            )
        tensor = shard.get(key)  # widened here: few operations know the stored types
        return (tensor.float() if tensor.is_floating_point() else tensor.long()).to(device())


Method = Callable[[View, Mapping[str, Any]], Tensor]


def cam(view: View, settings: Mapping[str, Any]) -> Tensor:
    """The classifier's own maps (AD-CAM, Eq. 2), (K, h, w)."""
    return view.cam()


def cam_attention(view: View, settings: Mapping[str, Any]) -> Tensor:
    """The classifier's own maps times the class token's attention, AD-CAM's row "TS-CAM", (K, h, w)."""
    return _coupled(view, view.cam())


def tscam(view: View, settings: Mapping[str, Any]) -> Tensor:
    """Class maps of the transformer's tokens times the class token's attention (TS-CAM), (K, h, w)."""
    return _coupled(view, view.token_map())


def _coupled(view: View, maps: Tensor) -> Tensor:
    return maps * view.of_attention("token").reshape(maps.shape[1:])


def transcam(view: View, settings: Mapping[str, Any]) -> Tensor:
    """Raw maps gathered once over the attention of all blocks, then not negative (TransCAM), (K, h, w)."""
    return view.transcam()


def attention_diffusion(view: View, settings: Mapping[str, Any]) -> Tensor:
    """Maps diffused over the unrefined attention, which ``extract_maps`` did while it held it, (K, h, w)."""
    steps, direction = settings["steps"], settings.get("direction", "gather")
    if steps == 0:
        return view.cam()
    stored, held = view.attended(), view.cams.params.get("attention_direction")
    if steps > len(stored):
        raise ArtefactError(
            f"{view.cams.path}: attention diffusion of {steps} steps is asked for, {len(stored)} are stored; "
            "raise the classifier's views.attention_steps"
        )
    if direction != held:
        raise ArtefactError(
            f"{view.cams.path}: attention diffusion in the direction {direction!r} is asked for, {held!r} is "
            "stored; make the classifier's views.attention_direction and the method's direction agree"
        )
    return stored[steps - 1]


def adcam(view: View, settings: Mapping[str, Any]) -> Tensor:
    """Maps diffused over each token's co-neighbours (AD-CAM, Eq. 7 and 8), (K, h, w)."""
    maps, direction = view.cam(), settings.get("direction", "gather")
    indices, values = view.of_attention("neighbours"), view.of_attention("values")
    count = token_count(settings["neighbours"], len(values))
    if count > values.shape[1]:
        raise ArtefactError(
            f"{view.attention.path}: {count} co-neighbours are asked for, {values.shape[1]} are stored; "
            "lower the method's neighbours or raise the classifier's views.cached_neighbours"
        )
    if settings.get("soft", False):
        values = values * view.of_attention("similarities")
    transition = transition_from_neighbours(indices, values, count, direction=direction)
    spread = diffuse(maps.flatten(1), transition, settings["steps"], direction=direction)
    return spread.reshape(maps.shape)


METHODS: dict[str, Method] = {
    "cam": cam,
    "cam_attention": cam_attention,
    "tscam": tscam,
    "transcam": transcam,
    "attention_diffusion": attention_diffusion,
    "adcam": adcam,
}


@again_if_overtaken
def run(
    *,
    manifest: PathLike,
    cams: PathLike,
    attention: PathLike,
    maps: PathLike,
    settings: Mapping[str, Any],
    shard: str,
) -> None:
    """Write one shard's class maps by one of :data:`METHODS`.

    Args:
        manifest: The data set.
        cams: The views' class maps, from ``extract_maps``.
        attention: The views' co-neighbours and class attention.
        maps: Where to write the maps, float16 (K, h, w) in [0, 1], a quarter of the image's size.
        settings: ``kind``, one of :data:`METHODS`, and what that method asks for; optional
            ``normalise_views``, one of :data:`VIEWS`: how each view's maps are scaled before they are added.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    records = read_manifest(manifest).shard("train", shard)
    with open_tensors(cams, "views") as views, open_tensors(attention, "attention") as neighbours:
        provenance = Provenance(
            "diffuse_cams",
            settings={"settings": settings, "shard": shard},
            params={"stride": MAP_STRIDE, "settings": settings, "views": views.params},
            inputs={"manifest": manifest, "cams": cams, "attention": attention},
        )
        with tensor_shard({"maps": maps}, records, provenance, f"class maps by {settings['kind']}") as out:
            for record in out.missing:
                out.write({"maps": _tensors(views, neighbours, record, settings)})
    log.info("%s: maps of %d images by %s", shard, len(records), settings["kind"])


def _tensors(
    views: TensorShard, neighbours: TensorShard, record: Record, settings: Mapping[str, Any]
) -> dict[str, Tensor]:
    """What is stored of one image, by name."""
    return {
        f"{record.id}/classes": check_classes(views, record),
        f"{record.id}/maps": _maps(views, neighbours, record, settings).half(),
    }


def _maps(views: TensorShard, neighbours: TensorShard, record: Record, settings: Mapping[str, Any]) -> Tensor:
    """Maps of one image, merged over its views, (K, ceil(H/4), ceil(W/4))."""
    if not record.classes:
        return torch.zeros(0, *grid_size(record))
    size = size_of(record)
    flips = (False, True) if views.params["mirror"] else (False,)
    kinds = [(scale, flip) for scale in views.params["scales"] for flip in flips]
    maps = [_view(View(views, neighbours, record.id, number), settings) for number in range(len(kinds))]
    sizes = [scaled_size(size, scale) for scale, _ in kinds]
    mirrored = [flip for _, flip in kinds]
    stride = views.params["stride"]
    return merge_views(maps, sizes, mirrored, size, stride=stride, grid=MAP_STRIDE).cpu()


def _view(view: View, settings: Mapping[str, Any]) -> Tensor:
    maps = METHODS[settings["kind"]](view, settings)
    return VIEWS[settings.get("normalise_views", "never")](view, settings, maps)


def _before(view: View, settings: Mapping[str, Any], maps: Tensor) -> Tensor:
    """As if the view's maps had been divided first (AD-CAM, Eq. 2), for every method is linear in them."""
    return maps / peaks(view.token_map() if settings["kind"] == "tscam" else view.cam())


VIEWS: dict[str, Callable[[View, Mapping[str, Any], Tensor], Tensor]] = {
    "before": _before,
    "after": lambda view, settings, maps: normalise(maps),
    "never": lambda view, settings, maps: maps,
}
