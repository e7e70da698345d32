"""Class maps diffused over the unrefined attention, "Att-Diffu" (AD-CAM, Eq. 8 with A itself, Table 3).

The attention is not stored. ``extract_maps`` makes the steps while it holds it, as many and in the direction
that the classifier's ``views`` say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from wsss.config.fields import Direction, NotNegativeInt
from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.reading import activation

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.config.classifiers import Views
    from wsss.methods.class_maps.contract import Config, Held, View

TITLE = "Att-Diffu"
NEEDS_ATTENTION = True


class Settings(ViewsMethod):
    """Diffusion over unrefined attention (AD-CAM, Table 3)."""

    kind: Literal["attention_diffusion"]
    steps: NotNegativeInt
    """T."""
    direction: Direction = "gather"
    """As views.attention_direction."""


def check(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    """Findings of more steps than ``views`` make, or of steps in another direction."""
    views, asks = classifier["views"], f"{key}.method: {chain['method']!r} takes"
    has = f"classifier {chain['classifier']!r} stores"
    steps, made = method["steps"], views["attention_steps"]
    if steps > made:
        return [f"{asks} {steps} steps, {has} {made}; raise views.attention_steps"]
    direction, held = method["direction"], views["attention_direction"]
    if steps > 0 and direction != held:
        return [
            f"{asks} the direction {direction} (methods.{chain['method']}.direction), {has} {held}; "
            "make views.attention_direction agree"
        ]
    return []


def stored(held: Held, views: Views) -> dict[str, Tensor]:
    """Activation after each of S = ``attention_steps`` steps over the whole attention, (S, K, h, w)."""
    from wsss.methods.diffusion import attended

    steps, direction = views.attention_steps, views.attention_direction
    if steps == 0:
        return {}
    after = attended(held.cam.relu().flatten(1), held.matrix, steps, direction=direction)  # (S, K, N)
    return {"attended": after.unflatten(2, held.cam.shape[1:])}


source = activation


def maps(view: View, settings: Settings) -> Tensor:
    """Maps diffused over the unrefined attention, which ``extract_maps`` did while it held it, (K, h, w)."""
    steps, direction = settings.steps, settings.direction
    if steps == 0:
        return activation(view)
    after, held = view.cams.read("attended"), view.cams.params.get("attention_direction")
    if steps > len(after):
        raise view.cams.refusal(
            f"attention diffusion of {steps} steps is asked for, {len(after)} are stored; "
            "raise the classifier's views.attention_steps"
        )
    if direction != held:
        raise view.cams.refusal(
            f"attention diffusion in the direction {direction!r} is asked for, {held!r} is "
            "stored; make the classifier's views.attention_direction and the method's direction agree"
        )
    return after[steps - 1]
