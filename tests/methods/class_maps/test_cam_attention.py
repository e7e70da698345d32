import torch

from tests.support.stored_views import make_view
from wsss.methods.class_maps import cam_attention


def test_each_cell_is_weighed_by_the_class_token_s_attention_to_it() -> None:
    view = make_view()
    view.cams.tensors["cam"] = torch.tensor([[[-1.0, 2.0], [1.0, 0.5]]])
    view.attention.tensors["token"] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    found = cam_attention.maps(view, cam_attention.Settings(kind="cam_attention"))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.4], [0.3, 0.2]]]))
