"""What several methods read of a stored view."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.class_maps.contract import View


def activation(view: View) -> Tensor:
    """Activation of the present classes, not negative, (K, h, w)."""
    return view.cams.read("cam").relu()


def coupled(view: View, maps: Tensor) -> Tensor:
    """Maps times the class token's attention to each token (TS-CAM), (K, h, w)."""
    return maps * view.attention.read("token").reshape(maps.shape[1:])
