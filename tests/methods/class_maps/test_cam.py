import torch

from tests.support.stored_views import make_view
from wsss.methods.class_maps import cam


def test_maps_are_the_activation() -> None:
    view = make_view()
    view.cams.tensors["cam"] = torch.tensor([[[-1.0, 2.0], [0.0, 0.5]]])
    found = cam.maps(view, cam.Settings(kind="cam"))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 2.0], [0.0, 0.5]]]))


def test_no_attention_is_read() -> None:
    view = make_view()
    view.attention.tensors.clear()
    assert cam.maps(view, cam.Settings(kind="cam")).any()
    assert not cam.NEEDS_ATTENTION
