import pytest
import torch

from tests.support.stored_views import findings, make_view
from wsss.methods.class_maps import cam_attention, tscam

SETTINGS = tscam.Settings(kind="tscam")


def test_the_tokens_maps_are_weighed_by_the_class_token_s_attention() -> None:
    view = make_view(token_maps="tokens")
    view.cams.tensors["tokens"] = torch.tensor([[[-1.0, 2.0], [1.0, 0.5]]])
    view.attention.tensors["token"] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    found = tscam.maps(view, SETTINGS)
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.4], [0.3, 0.2]]]))


def test_class_maps_that_are_the_tokens_are_taken() -> None:
    view = make_view(token_maps="cam")
    del view.cams.tensors["tokens"]
    assert torch.equal(
        tscam.maps(view, SETTINGS), cam_attention.maps(view, cam_attention.Settings(kind="cam_attention"))
    )
    assert torch.equal(tscam.source(view), cam_attention.source(view))


def test_what_is_divided_before_are_the_tokens_maps() -> None:
    view = make_view()
    assert torch.equal(tscam.source(view), view.cams.tensors["tokens"].relu())


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ({"kind": "timm"}, "cam"),
        ({"kind": "conformer", "token_head": "patches"}, "tokens"),
        ({"kind": "conformer", "token_head": "class"}, None),
        ({"kind": "cnn"}, None),
    ],
)
def test_a_network_without_maps_of_tokens_is_found(network: dict[str, str], name: str | None) -> None:
    assert tscam.token_maps_of(network["kind"], network.get("token_head")) == name
    said = findings(tscam.check, SETTINGS, {}, **network)
    assert bool(said) is (name is None)
    assert not said or said[0].startswith("main.method: 'asked' needs class maps of the transformer's tokens")
