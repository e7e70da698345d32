"""How images are normalised for a network: as its settings say, or as timm's weights were trained."""

from collections.abc import Mapping
from typing import Any

import timm

COLOURS = ("mean", "std")  # of R, G, B in 0..1
Settings = Mapping[str, Any]


def with_colours(network: Settings) -> dict[str, Any]:
    """Fill in the mean and deviation by which images are normalised.

    Args:
        network: Settings of any network, ``mean`` and ``std`` None or absent where they are not given.

    Returns:
        The settings with both: those given, else those with which timm's weights of the network's name, of
        its backbone or, of a pair, of its CNN were trained. A pair's transformer gets its own.

    Raises:
        ValueError: If they are not given and timm does not know the network.
    """
    filled = _filled(network, _origin(network))
    return {**filled, "vit": _filled(network["vit"], network["vit"])} if "vit" in network else filled


def without_colours(network: Settings) -> dict[str, Any]:
    """A network's settings without the mean and deviation, which are not its own business."""
    return {key: value for key, value in network.items() if key not in COLOURS}


def _origin(network: Settings) -> Settings:
    """The part of the settings that names the weights which images are normalised for."""
    origin: Settings = network.get("backbone") or network.get("cnn") or network
    return origin


def _filled(settings: Settings, origin: Settings) -> dict[str, Any]:
    missing = [name for name in COLOURS if settings.get(name) is None]
    if not missing:
        return dict(settings)
    model = str(origin.get("model"))
    try:
        known = timm.get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError as error:
        raise ValueError(
            f"timm {timm.__version__} has no weights {model!r} whose normalisation it knows; give the "
            f"network's {' and '.join(missing)}"
        ) from error
    return {**settings, **{name: list(getattr(known, name)) for name in missing}}
