from typing import Any

import pytest
import torch

from tests.support.stored_views import HeldView, asked_views, findings, make_view
from wsss.methods.class_maps import attention_diffusion
from wsss.methods.class_maps.contract import Held
from wsss.methods.diffusion import DIRECTIONS, diffuse


def settings(steps: int, **direction: Any) -> attention_diffusion.Settings:
    return attention_diffusion.Settings(kind="attention_diffusion", steps=steps, **direction)


def stored(steps: int, direction: str) -> HeldView:
    """A view with the steps that ``extract_maps`` stores of it."""
    view = make_view(attention_direction=direction)
    held = Held(view.cams.tensors["cam"], torch.zeros(0), view.matrix)
    views = asked_views(attention_steps=steps, attention_direction=direction)
    view.cams.tensors.update(attention_diffusion.stored(held, views))
    return view


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_maps_are_diffused_over_the_whole_matrix(steps: int, direction: str) -> None:
    view = stored(2, direction)
    activation = view.cams.tensors["cam"].relu()
    dense = diffuse(activation.flatten(1), view.matrix, steps, direction=direction).view_as(activation)
    torch.testing.assert_close(attention_diffusion.maps(view, settings(steps, direction=direction)), dense)


def test_the_direction_is_gather_unless_given() -> None:
    view = stored(2, "gather")
    found = attention_diffusion.maps(view, settings(2))
    assert torch.equal(found, attention_diffusion.maps(view, settings(2, direction="gather")))
    assert asked_views().attention_direction == "gather"


def test_nothing_is_stored_without_steps() -> None:
    assert "attended" not in stored(0, "gather").cams.tensors


def test_no_step_reads_the_class_maps_alone() -> None:
    view = stored(0, "hand_on")
    assert torch.equal(attention_diffusion.maps(view, settings(0)), view.cams.tensors["cam"].relu())


def test_more_steps_or_another_direction_than_stored_are_refused() -> None:
    view = stored(2, "gather")
    with pytest.raises(ValueError, match="the file: attention diffusion of 3 steps is asked for, 2 are stor"):
        attention_diffusion.maps(view, settings(3))
    with pytest.raises(ValueError, match="direction 'hand_on' is asked for, 'gather' is stored"):
        attention_diffusion.maps(view, settings(1, direction="hand_on"))


@pytest.mark.parametrize(
    ("method", "views", "said"),
    [
        (settings(2), {"attention_steps": 2}, []),
        (settings(0), {"attention_steps": 0, "attention_direction": "hand_on"}, []),
        (
            settings(3),
            {"attention_steps": 2},
            [
                "main.method: 'asked' takes 3 steps, classifier 'mine' stores 2; raise views.attention_steps",
            ],
        ),
        (
            settings(1),
            {"attention_steps": 2, "attention_direction": "hand_on"},
            [
                "main.method: 'asked' takes the direction gather (methods.asked.direction), classifier "
                "'mine' stores hand_on; make views.attention_direction agree",
            ],
        ),
    ],
)
def test_steps_that_are_not_stored_are_found(
    method: attention_diffusion.Settings, views: dict[str, Any], said: list[str]
) -> None:
    assert findings(attention_diffusion.check, method, views) == said
