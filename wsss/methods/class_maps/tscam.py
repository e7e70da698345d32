"""TS-CAM: class maps of the transformer's tokens times the class token's attention.

M_k(x) = ReLU(S_k(x)) sum_l A_l(0, x), with S the class maps of the tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.reading import coupled

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.class_maps.contract import Config, View

TITLE = "TS-CAM"
NEEDS_ATTENTION = True


class Settings(ViewsMethod):
    """Class maps of the patch tokens times the same attention (TS-CAM)."""

    kind: Literal["tscam"]


def token_maps_of(kind: str, token_head: str | None) -> str | None:
    """Name under which class maps of a classifier's patch tokens are stored, by its network's settings.

    Returns:
        ``cam`` where the class maps themselves are made of the tokens, ``tokens`` where a head of their own
        makes others, None where nothing reads the patch tokens.
    """
    if kind == "timm":
        return "cam"
    return "tokens" if token_head == "patches" else None


def check(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    """Findings of a classifier that has no class maps of tokens."""
    network = classifier["network"]
    if token_maps_of(network["kind"], network.get("token_head")):
        return []
    return [
        f"{key}.method: {chain['method']!r} needs class maps of the transformer's tokens, which "
        f"classifiers.{chain['classifier']} does not have; take a Conformer with network.token_head: "
        "patches, a timm transformer, or a method of kind cam_attention"
    ]


stored = None


def source(view: View) -> Tensor:
    """Activation by the classes of the transformer's tokens, not negative, (K, h, w)."""
    return view.cams.read(view.cams.params.get("token_maps") or "tokens").relu()


def maps(view: View, settings: Settings) -> Tensor:
    """Class maps of the transformer's tokens times the class token's attention (TS-CAM), (K, h, w)."""
    return coupled(view, source(view))
