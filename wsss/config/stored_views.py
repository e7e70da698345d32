"""Whether a classifier's `views` store what a method reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]


def check_stored_views(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    """Findings of a method that asks for more than ``extract_maps`` stores of a classifier.

    Args:
        key: Where the configuration names both, such as ``datasets.voc.main``.
        chain: Names of the ``classifier`` and of the ``method``.
        method: The method's settings.
        classifier: The classifier's, with ``network`` and ``views``.
    """
    check = CHECKS.get(method["kind"])
    return check(key, chain, method, classifier) if check else []


def token_maps_of(network: Config) -> str | None:
    """Name under which class maps of a classifier's patch tokens are stored, by its settings.

    Returns:
        ``cam`` where the class maps themselves are made of the tokens, ``tokens`` where a head of their own
        makes others, None where nothing reads the patch tokens.
    """
    if network.get("kind") == "timm":
        return "cam"
    return "tokens" if network.get("token_head") == "patches" else None


def _check_adcam(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    findings = _check_neighbours(key, chain, method["neighbours"], classifier["views"]["cached_neighbours"])
    if method["soft"] and not classifier["views"]["cache_similarity"]:
        findings.append(
            f"{key}.method: {chain['method']!r} needs similarities; set views.cache_similarity of "
            f"classifier {chain['classifier']!r}"
        )
    return findings


def _check_attention_diffusion(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    """Steps over the whole attention are made while it is held, so ``views`` says how many and which way."""
    views, asks = classifier["views"], f"{key}.method: {chain['method']!r} takes"
    has = f"classifier {chain['classifier']!r} stores"
    steps, stored = method["steps"], views["attention_steps"]
    if steps > stored:
        return [f"{asks} {steps} steps, {has} {stored}; raise views.attention_steps"]
    direction, held = method["direction"], views.get("attention_direction", "gather")
    if steps > 0 and direction != held:
        return [
            f"{asks} the direction {direction} (methods.{chain['method']}.direction), {has} {held}; "
            "make views.attention_direction agree"
        ]
    return []


def _check_tscam(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    if token_maps_of(classifier["network"]):
        return []
    return [
        f"{key}.method: {chain['method']!r} needs class maps of the transformer's tokens, which "
        f"classifiers.{chain['classifier']} does not have; take a Conformer with network.token_head: "
        "patches, a timm transformer, or a method of kind cam_attention"
    ]


def _check_transcam(key: str, chain: Config, method: Config, classifier: Config) -> list[str]:
    if classifier["views"].get("transcam", False):
        return []
    return [
        f"{key}.method: {chain['method']!r} needs maps that classifier {chain['classifier']!r} does not "
        "store; set views.transcam"
    ]


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


# By kind of method; the other kinds read what every classifier stores.
CHECKS = {
    "adcam": _check_adcam,
    "attention_diffusion": _check_attention_diffusion,
    "tscam": _check_tscam,
    "transcam": _check_transcam,
}
