"""Settings of methods: what is made of a classifier's stored views."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from wsss.config.fields import Direction, Neighbours, NotNegativeInt, Settings


class ViewsMethod(Settings):
    """A method that makes class maps of views."""

    normalise_views: Literal["before", "after", "never"] = "never"
    """Divide each view's maps by their maximum: before the method (AD-CAM, Eq. 2), after it, never (IRN)."""


class Cam(ViewsMethod):
    """The classifier's class maps (AD-CAM, Eq. 2)."""

    kind: Literal["cam"]


class CamAttention(ViewsMethod):
    """Class maps times the class token's attention; the row "TS-CAM" of AD-CAM, Table 3."""

    kind: Literal["cam_attention"]


class Tscam(ViewsMethod):
    """Class maps of the patch tokens times the same attention (TS-CAM)."""

    kind: Literal["tscam"]


class Transcam(ViewsMethod):
    """Raw class maps gathered once over the attention summed over blocks (TransCAM)."""

    kind: Literal["transcam"]


class AttentionDiffusion(ViewsMethod):
    """Diffusion over unrefined attention (AD-CAM, Table 3)."""

    kind: Literal["attention_diffusion"]
    steps: NotNegativeInt
    """T."""
    direction: Direction = "gather"
    """As views.attention_direction."""


class Adcam(ViewsMethod):
    """Diffusion over co-neighbours (AD-CAM, Eq. 6 to 8)."""

    kind: Literal["adcam"]
    neighbours: Neighbours
    """k, tokens; below 1 a fraction of all tokens."""
    steps: NotNegativeInt
    """T."""
    soft: bool = False
    """Weigh by similarity instead of a 0/1 mask; needs views.cache_similarity."""
    direction: Direction = "gather"
    """gather: a pixel takes the mean of its co-neighbours; hand_on: it gives to them; literal: Eq. 8."""


class Patches(Settings):
    """The patch scores of the single stage, the only method of its variants."""

    kind: Literal["patches"]


Method = Annotated[
    Cam | CamAttention | Tscam | Transcam | AttentionDiffusion | Adcam | Patches, Field(discriminator="kind")
]
MethodKind = Literal["cam", "cam_attention", "tscam", "transcam", "attention_diffusion", "adcam", "patches"]
KINDS: tuple[str, ...] = get_args(MethodKind)
