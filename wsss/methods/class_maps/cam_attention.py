"""Class maps times the class token's attention: M_k(x) = ReLU(F_k(x)) sum_l A_l(0, x).

AD-CAM's Table 3 calls this "TS-CAM", whose own class maps are those of the tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.reading import activation, coupled

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.class_maps.contract import View

TITLE = "CAM x attention"
NEEDS_ATTENTION = True


class Settings(ViewsMethod):
    """Class maps times the class token's attention; the row "TS-CAM" of AD-CAM, Table 3."""

    kind: Literal["cam_attention"]


check = None
stored = None
source = activation


def maps(view: View, settings: Settings) -> Tensor:
    """The classifier's own maps times the class token's attention, AD-CAM's row "TS-CAM", (K, h, w)."""
    return coupled(view, activation(view))
