import torch

from tests.support.stored_views import asked_views, findings, make_view
from wsss.methods.class_maps import transcam
from wsss.methods.class_maps.contract import Held

SETTINGS = transcam.Settings(kind="transcam")
# Two blocks of a class token and two patches.
BLOCKS = torch.tensor(
    [
        [[0.2, 0.4, 0.4], [0.1, 0.6, 0.3], [0.5, 0.5, 0.0]],
        [[0.2, 0.4, 0.4], [0.8, 0.1, 0.1], [0.5, 0.0, 0.5]],
    ]
)


def held() -> Held:
    return Held(torch.tensor([[[1.0, -3.0]]]), BLOCKS, torch.eye(2))


def test_raw_maps_are_gathered_over_all_blocks_while_they_are_held() -> None:
    found = transcam.stored(held(), asked_views(transcam=True))
    assert found.keys() == {"transcam"}
    torch.testing.assert_close(found["transcam"], torch.tensor([[[0.7 - 1.2, 0.5 - 1.5]]]))


def test_nothing_is_stored_that_is_not_asked_for() -> None:
    assert transcam.stored(held(), asked_views(transcam=False)) == {}


def test_what_is_negative_is_dropped_after_gathering() -> None:
    view = make_view()
    assert torch.equal(transcam.maps(view, SETTINGS), view.cams.tensors["transcam"].relu())


def test_maps_that_are_not_stored_are_found() -> None:
    assert findings(transcam.check, SETTINGS, {"transcam": True}) == []
    said = "main.method: 'asked' needs maps that classifier 'mine' does not store; set views.transcam"
    assert findings(transcam.check, SETTINGS, {"transcam": False}) == [said]
    assert findings(transcam.check, SETTINGS, {}) == [said]
