"""The classifier's class maps: M_k = ReLU(F_k) (AD-CAM, Eq. 2; it is divided when the views are merged)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.reading import activation

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.class_maps.contract import View

TITLE = "CAM"
NEEDS_ATTENTION = False


class Settings(ViewsMethod):
    """The classifier's class maps (AD-CAM, Eq. 2)."""

    kind: Literal["cam"]


check = None
stored = None
source = activation


def maps(view: View, settings: Settings) -> Tensor:
    """The classifier's own maps (AD-CAM, Eq. 2), (K, h, w)."""
    return activation(view)
