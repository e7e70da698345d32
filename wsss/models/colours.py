"""How images are normalised for a network: as its settings say, or as timm's weights were trained."""

from typing import TYPE_CHECKING, Any, TypeVar

import timm

if TYPE_CHECKING:
    from wsss.config.fields import Settings
    from wsss.config.networks import Coloured

COLOURS = ("mean", "std")  # of R, G, B in 0..1
Network = TypeVar("Network", bound="Coloured")


def with_colours(network: Network) -> Network:
    """Fill in the mean and deviation by which images are normalised.

    Args:
        network: Settings of any network.

    Returns:
        The settings with both: those given, else those with which timm's weights of the network's name, of
        its backbone or, of a pair, of its CNN were trained. A pair's transformer gets its own.

    Raises:
        ValueError: If they are not given and timm does not know the network.
    """
    filled, vit = _filled(network, _origin(network)), getattr(network, "vit", None)
    return filled if vit is None else filled.model_copy(update={"vit": _filled(vit, vit.model)})


def arguments_of(network: "Settings") -> dict[str, Any]:
    """A network's settings as arguments of its constructor, whose business kind, mean and std are not."""
    return network.model_dump(exclude={"kind", *COLOURS})


def _origin(network: "Coloured") -> str | None:
    """The name by timm of the weights which images are normalised for."""
    named: Any = getattr(network, "backbone", None) or getattr(network, "cnn", None) or network
    return getattr(named, "model", None)


def _filled(settings: Network, model: str | None) -> Network:
    missing = [name for name in COLOURS if getattr(settings, name) is None]
    if not missing:
        return settings
    try:
        known = timm.get_pretrained_cfg(str(model), allow_unregistered=False)
    except RuntimeError as error:
        raise ValueError(
            f"timm {timm.__version__} has no weights {model!r} whose normalisation it knows; give the "
            f"network's {' and '.join(missing)}"
        ) from error
    return settings.model_copy(update={name: list(getattr(known, name)) for name in missing})
