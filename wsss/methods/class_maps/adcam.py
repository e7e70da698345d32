"""AD-CAM: class maps diffused over each token's co-neighbours (AD-CAM, Eq. 6 to 8).

A token's co-neighbours are the k tokens that attend most alike. Their attention, all others' set to zero and
rows renormalised, carries T steps of diffusion. ``extract_maps`` stores the first m >= k of each token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from wsss.config.fields import Direction, Neighbours, NotNegativeInt
from wsss.methods.class_maps.contract import ViewsMethod
from wsss.methods.class_maps.reading import activation

if TYPE_CHECKING:
    from torch import Tensor

    from wsss.methods.class_maps.contract import Config, View

TITLE = "AD-CAM"
NEEDS_ATTENTION = True


class Settings(ViewsMethod):
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


def check(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    """Findings of more neighbours than are stored, and of similarities that are not."""
    findings = _check_neighbours(key, chain, method["neighbours"], classifier["views"]["cached_neighbours"])
    if method["soft"] and not classifier["views"]["cache_similarity"]:
        findings.append(
            f"{key}.method: {chain['method']!r} needs similarities; set views.cache_similarity of "
            f"classifier {chain['classifier']!r}"
        )
    return findings


def _check_neighbours(key: str, chain: Config, asked: float, cached: float | Config) -> list[str]:
    """A number of stored neighbours serves no fraction, which grows with the view, and the reverse."""
    asks, has = f"{key}.method: {chain['method']!r} takes", f"classifier {chain['classifier']!r} stores"
    where, both = f"methods.{chain['method']}.neighbours", isinstance(cached, Mapping)
    number, fraction = _stored_neighbours(cached)
    if asked < 1 and asked > fraction:
        instead = (
            f"a fraction of {asked} or more" if both else f"{asked} or more, below 1, or to both at once"
        )
        return [
            f"{asks} the fraction {asked} ({where}) of a view's tokens as neighbours, {has} "
            f"{cached}; set views.cached_neighbours to {instead}"
        ]
    if asked >= 1 and not number:
        return [
            f"{asks} {asked} neighbours ({where}), {has} the fraction {cached} of a view's tokens, which may "
            "be fewer; set views.cached_neighbours to a whole number, or to both at once"
        ]
    if asked > number and asked >= 1:
        return [f"{asks} {asked} neighbours, {has} {cached}; raise views.cached_neighbours"]
    return []


def _stored_neighbours(cached: float | Config) -> tuple[float, float]:
    """Up to which number and up to which fraction ``views.cached_neighbours`` serves a method."""
    if isinstance(cached, Mapping):
        return cached["at_least"], cached["fraction"]
    return (0, cached) if cached < 1 else (cached, 0)


stored = None
source = activation


def maps(view: View, settings: Settings) -> Tensor:
    """Maps diffused over each token's co-neighbours, M(t+1) = A~ M(t) (AD-CAM, Eq. 7 and 8), (K, h, w)."""
    from wsss.methods.diffusion import diffuse

    activated, direction = activation(view), settings.direction
    transition = _refined(view, settings)  # (N, N)
    spread = diffuse(activated.flatten(1), transition, settings.steps, direction=direction)  # (K, N)
    return spread.reshape(activated.shape)


def _refined(view: View, settings: Settings) -> Tensor:
    """Attention to the k most similar tokens, A~ = NORM(TOP(S, k) * A) (AD-CAM, Eq. 7), sparse (N, N)."""
    from wsss.methods.diffusion import token_count, transition_from_neighbours

    indices, values = view.attention.read("neighbours"), view.attention.read("values")
    count = token_count(settings.neighbours, len(values))
    if count > values.shape[1]:
        raise view.attention.refusal(
            f"{count} co-neighbours are asked for, {values.shape[1]} are stored; "
            "lower the method's neighbours or raise the classifier's views.cached_neighbours"
        )
    if settings.soft:
        values = values * view.attention.read("similarities")
    return transition_from_neighbours(indices, values, count, direction=settings.direction)
