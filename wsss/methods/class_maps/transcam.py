"""TransCAM: raw class maps gathered once over the attention of all blocks, then not negative.

M_k(p) = ReLU(sum_q sum_l A_l(p, q) F_k(q)). What is gathered are all of F and all blocks, so ``extract_maps``
does it while it holds them, where the classifier's ``views.transcam`` asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.reading import activation

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.config.classifiers import Views
    from wsss.methods.class_maps.contract import Config, Held, View

TITLE = "TransCAM"
NEEDS_ATTENTION = True


class Settings(ViewsMethod):
    """Raw class maps gathered once over the attention summed over blocks (TransCAM)."""

    kind: Literal["transcam"]


def check(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    """Findings of a classifier whose gathered maps are not stored."""
    if classifier["views"]["transcam"]:
        return []
    return [
        f"{key}.method: {chain['method']!r} needs maps that classifier {chain['classifier']!r} does not "
        "store; set views.transcam"
    ]


def stored(held: Held, views: Views) -> dict[str, Tensor]:
    """Raw maps gathered over the attention of all blocks, which may be negative, (K, h, w)."""
    from wsss.methods.attention import transcam

    if not views.transcam:
        return {}
    gathered = transcam(held.cam.flatten(1), held.blocks)  # (K, N)
    return {"transcam": gathered.unflatten(1, held.cam.shape[1:])}


source = activation


def maps(view: View, settings: Settings) -> Tensor:
    """Raw maps gathered once over the attention of all blocks, then not negative (TransCAM), (K, h, w)."""
    return view.cams.read("transcam").relu()
