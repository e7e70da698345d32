"""Class maps of one method in one job: the classifier's views of a shard are gone when its maps are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import validate_call

from wsss.artefacts.files import ArtefactError, PathLike, work_folder
from wsss.artefacts.shard_writer import Overtaken, Provenance, again_if_overtaken
from wsss.config.classifiers import Network, Views
from wsss.stages.cam.diffuse_cams import run as diffuse_cams
from wsss.stages.classify.extract_maps import run as extract_maps


@again_if_overtaken
@validate_call
def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    maps: PathLike,
    network: Network,
    views: Views,
    settings: dict[str, Any],
    shard: str,
) -> None:
    """Write one shard's class maps, by ``extract_maps`` and ``diffuse_cams`` one after the other.

    Until then the views lie in a folder beside the maps, as large as one shard of the cache that is not kept.
    A killed job goes on with what it has of them.

    Args:
        manifest: The data set.
        weights: The trained classifier.
        maps: Where to write the maps, see :func:`wsss.stages.cam.diffuse_cams.run`.
        network: The classifier's settings.
        views: The views and what is stored of them.
        settings: The method's, by its ``kind``.
        shard: Which part of the split ``train``, such as ``002of048``.
    """
    asked = {"network": network.model_dump(), "views": views.model_dump(), "shard": shard}
    extraction = Provenance("extract_maps", asked, {}, {"manifest": manifest, "weights": weights})
    with work_folder(maps, extraction.shape()) as work:
        files = {name: work / f"{name}.safetensors" for name in ("cams", "attention")}
        if not _are_there(files):
            extract_maps(
                manifest=manifest, weights=weights, **files, network=network, views=views, shard=shard
            )
        try:
            diffuse_cams(manifest=manifest, **files, maps=maps, settings=settings, shard=shard)
        except ArtefactError as error:
            if _are_there(files):
                raise
            raise Overtaken(f"{maps}: another process finished it and removed the views") from error


def _are_there(files: dict[str, Path]) -> bool:
    """Both views and attention, whole as every artefact is."""
    return all(path.exists() for path in files.values())
