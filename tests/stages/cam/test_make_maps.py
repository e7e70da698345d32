import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.builders import SHARD, Data, make_data, write_weights
from tests.support.networks import build_classifier
from tests.support.processes import killed_at
from tests.support.settings import CONFIG
from wsss.artefacts import files
from wsss.artefacts.formats import ArtefactError
from wsss.stages.cam import diffuse_cams, make_maps
from wsss.stages.classify import extract_maps

NETWORK = CONFIG["classifiers"]["conformer_nano"]["network"]
VIEWS: dict[str, Any] = {
    "scales": [1.0, 0.5],
    "mirror": True,
    "cached_neighbours": 60,
    "attention_steps": 0,
    "cache_similarity": False,
}
METHOD: dict[str, Any] = {"kind": "adcam", "neighbours": 20, "steps": 2}


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Images, and the weights of a classifier for them."""
    made = make_data(tmp_path)
    torch.manual_seed(0)
    write_weights(made.path("weights"), build_classifier(NETWORK, 3))
    return made


@pytest.fixture
def make(data: Data) -> Callable[..., bytes]:
    """Make the maps in a folder of a name; gives their bytes."""

    def run(name: str, **changed: Any) -> bytes:
        arguments: dict[str, Any] = {"network": NETWORK, "views": VIEWS, "settings": METHOD, "shard": SHARD}
        maps = data.path(name) / "maps.safetensors"
        make_maps.run(
            manifest=data.manifest, weights=data.path("weights"), maps=maps, **(arguments | changed)
        )
        return maps.read_bytes()

    return run


def cached(data: Data) -> bytes:
    """The maps of the two stages that keep the views."""
    views = {"cams": data.path("cams"), "attention": data.path("attention")}
    both = {"manifest": data.manifest, "shard": SHARD, **views}
    extract_maps.run(weights=data.path("weights"), network=NETWORK, views=VIEWS, **both)
    diffuse_cams.run(maps=data.path("maps"), settings=METHOD, **both)
    return data.path("maps").read_bytes()


def test_bytes_are_those_of_the_stages_that_keep_the_views(data: Data, make: Callable[..., bytes]) -> None:
    assert make("alone") == cached(data)
    assert [path.name for path in data.path("alone").iterdir()] == ["maps.safetensors"]


@pytest.mark.parametrize(
    ("step", "goes_on"), [(3, "extracting maps: 1 of 5"), (13, "class maps by adcam: 1 of 4")]
)
def test_a_killed_job_goes_on_with_the_views_that_it_has(
    data: Data, make: Callable[..., bytes], step: int, goes_on: str, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed = make("undisturbed")
    assert killed_at(step, lambda: make("out"), "replace")
    assert not (data.path("out") / "maps.safetensors").exists()
    with caplog.at_level(logging.INFO):
        assert make("out") == undisturbed
    assert f"{goes_on} parts are there already" in caplog.text
    assert ("extracting" in caplog.text) == ("extracting" in goes_on)
    assert len([*data.path("out").iterdir()]) == 1


def test_views_of_other_weights_or_settings_are_not_taken_up(data: Data, make: Callable[..., bytes]) -> None:
    smaller = {**VIEWS, "scales": [0.5]}
    expected = make("undisturbed", views=smaller)
    assert killed_at(13, lambda: make("out"), "replace")
    assert make("out", views=smaller) == expected
    assert len([*data.path("out").iterdir()]) == 1


def test_a_job_whose_views_another_process_removed_makes_them_anew(
    data: Data, make: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, times = make("undisturbed"), []

    def removed_once(**arguments: Any) -> None:
        if not times:
            files._remove(Path(arguments["cams"]).parent)
        times.append(arguments)
        diffuse_cams.run(**arguments)

    monkeypatch.setattr(make_maps, "diffuse_cams", removed_once)
    assert make("out") == expected and len(times) == 2


def test_what_a_method_lacks_is_told_as_ever(make: Callable[..., bytes]) -> None:
    with pytest.raises(ArtefactError, match="the method needs what this classifier does not have"):
        make("out", settings={"kind": "transcam"})
