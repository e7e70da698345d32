from typing import Any

import pytest
import torch

from tests.support.stored_views import findings, make_view
from wsss.methods.class_maps import adcam
from wsss.methods.diffusion import DIRECTIONS, diffuse, refine_attention

CACHED = 20  # of 30 tokens


def settings(neighbours: float = 10, steps: int = 2, **others: Any) -> adcam.Settings:
    return adcam.Settings(kind="adcam", neighbours=neighbours, steps=steps, **others)


@pytest.mark.parametrize("neighbours", [1, 10, CACHED, 0.3])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_lists_of_neighbours_give_what_the_whole_matrix_gives(
    neighbours: float, steps: int, device: torch.device
) -> None:
    view = make_view(CACHED, device)
    activation = view.cams.tensors["cam"].relu()
    dense = diffuse(activation.flatten(1), refine_attention(view.matrix, neighbours), steps)
    found = adcam.maps(view, settings(neighbours, steps))
    assert found.device.type == device.type
    torch.testing.assert_close(found, dense.view_as(activation))


def test_soft_weighs_by_the_similarity() -> None:
    view = make_view(CACHED)
    activation = view.cams.tensors["cam"].relu()
    dense = diffuse(activation.flatten(1), refine_attention(view.matrix, 10, soft=True), 2)
    found = adcam.maps(view, settings(soft=True))
    torch.testing.assert_close(found, dense.view_as(activation))
    assert not torch.equal(found, adcam.maps(view, settings()))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_direction_is_taken(direction: str) -> None:
    view = make_view(CACHED)
    activation = view.cams.tensors["cam"].relu()
    dense = diffuse(activation.flatten(1), refine_attention(view.matrix, 10), 2, direction=direction)
    found = adcam.maps(view, settings(direction=direction))
    torch.testing.assert_close(found, dense.view_as(activation))
    assert torch.equal(found, adcam.maps(view, settings())) is (direction == "gather")


def test_no_step_changes_nothing() -> None:
    view = make_view(CACHED)
    assert torch.equal(adcam.maps(view, settings(steps=0)), view.cams.tensors["cam"].relu())


def test_more_neighbours_than_stored_are_refused() -> None:
    with pytest.raises(ValueError, match="the file: 21 co-neighbours are asked for, 20 are stored; lower"):
        adcam.maps(make_view(CACHED), settings(CACHED + 1))


def test_similarities_are_read_by_soft_alone() -> None:
    view = make_view(CACHED)
    del view.attention.tensors["similarities"]
    adcam.maps(view, settings())
    with pytest.raises(KeyError, match="similarities"):
        adcam.maps(view, settings(soft=True))


@pytest.mark.parametrize(
    ("asked", "cached", "said"),
    [
        (60, 60, None),
        (61, 60, "takes 61 neighbours, classifier 'mine' stores 60; raise views.cached_neighbours"),
        (0.2, 0.2, None),
        (0.3, 0.2, "takes the fraction 0.3 (methods.asked.neighbours) of a view's tokens"),
        (0.3, 60, "set views.cached_neighbours to 0.3 or more, below 1, or to both at once"),
        (
            10,
            0.5,
            "takes 10 neighbours (methods.asked.neighbours), classifier 'mine' stores the fraction 0.5",
        ),
        (50, {"at_least": 50, "fraction": 0.1}, None),
        (0.2, {"at_least": 50, "fraction": 0.1}, "to a fraction of 0.2 or more"),
    ],
)
def test_neighbours_that_are_not_stored_are_found(asked: float, cached: Any, said: str | None) -> None:
    views = {"cached_neighbours": cached, "cache_similarity": False}
    found = findings(adcam.check, settings(asked, soft=False), views)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_similarities_that_are_not_stored_are_found() -> None:
    views = {"cached_neighbours": 60, "cache_similarity": False}
    said = "main.method: 'asked' needs similarities; set views.cache_similarity of classifier 'mine'"
    assert findings(adcam.check, settings(soft=True), views) == [said]
    assert findings(adcam.check, settings(soft=True), {**views, "cache_similarity": True}) == []
