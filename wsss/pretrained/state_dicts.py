"""Pretrained state dicts of other code: from its names to ours, with every mismatch an error."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from wsss.models.conformer import HEADS, Conformer

State = Mapping[str, Tensor]

CONTAINERS = ("model", "state_dict")  # where checkpoints of DeiT's and of OpenMMLab's code keep the tensors
WRAPPERS = ("module.", "backbone.", "head.")
MMPRETRAIN_NAMES = (
    (".ln1.", ".norm1."),
    (".ln2.", ".norm2."),
    (".ffn.layers.0.0.", ".mlp.fc1."),
    (".ffn.layers.1.", ".mlp.fc2."),
)
DROPPED_BLOCK = "conv_trans_12."
SHOWN = 3


class WeightsError(ValueError):
    """Weights cannot be used; the message says what was expected, what was found and what to do."""


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the state dict out of a checkpoint, bare or under one of ``CONTAINERS``."""
    held = [checkpoint[key] for key in CONTAINERS if isinstance(checkpoint.get(key), Mapping)]
    found: Any = held[0] if held else checkpoint
    if not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(
            f"expected tensors by name, bare or under one of {list(CONTAINERS)}, found keys {_listed(found)}"
        )
    return dict(found)


def conformer_names(state: State) -> dict[str, Tensor]:
    """Give a Conformer's tensors their published names; understands mmpretrain's names as well."""
    return {_conformer_name(key): value for key, value in state.items()}


def load_pretrained(model: nn.Module, state: State) -> None:
    """Load pretrained weights into a network, all but its classification heads.

    Args:
        model: A Conformer, a timm network, or a module that holds one as ``backbone`` or ``model``.
        state: A Conformer's tensors by their published or mmpretrain's names; else tensors by timm's names,
            which may all carry one prefix (``backbone.``): what lies outside of it is a head and not read.

    Raises:
        WeightsError: If a key is missing or unexpected or a shape differs, naming them.
    """
    if isinstance(model, Conformer):
        dropped = () if hasattr(model, DROPPED_BLOCK.rstrip(".")) else (DROPPED_BLOCK,)
        load_matching(model, conformer_names(state), ignore=(*HEADS, *dropped))
        return
    network = timm_network(model)
    load_matching(network, _unprefixed(state, network), ignore=_classifier_prefixes(network))


def load_matching(module: nn.Module, state: State, ignore: Iterable[str] = ()) -> None:
    """Load a state dict that must fit, with the exception of some prefixes.

    Args:
        module: Module to load into.
        state: Tensors by name; other floating point types are converted.
        ignore: Prefixes of names that are neither loaded nor missed.

    Raises:
        WeightsError: If a key is missing or unexpected or a shape differs, naming them.
    """
    ignored = tuple(ignore)
    own = {key: value for key, value in module.state_dict().items() if not key.startswith(ignored)}
    given = {key: value for key, value in state.items() if not key.startswith(ignored)}
    # Old files lack BatchNorm's counters, which evaluation never reads.
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in own]
    shapes = [
        f"{key}: expected {tuple(own[key].shape)}, found {tuple(given[key].shape)}"
        for key in own
        if key in given and own[key].shape != given[key].shape
    ]
    if missing or unexpected or shapes:
        raise WeightsError(
            f"the weights do not fit {type(module).__name__}: missing {_listed(missing)}; "
            f"unexpected {_listed(unexpected)}; other shapes {_listed(shapes)}. "
            "Are they of the configured model and variant?"
        )
    module.load_state_dict(given, strict=False)


def timm_network(model: nn.Module) -> nn.Module:
    """Find the timm network that a module is, or holds as ``backbone`` or ``model`` at any depth."""
    network = model
    while not hasattr(network, "pretrained_cfg"):
        held = [getattr(network, name, None) for name in ("backbone", "model")]
        inner = next((module for module in held if isinstance(module, nn.Module)), None)
        if inner is None:
            raise WeightsError(f"{type(model).__name__}: expected a timm network to load into, found none")
        network = inner
    return network


def _conformer_name(key: str) -> str:
    for wrapper in WRAPPERS:
        key = key.removeprefix(wrapper)
    for theirs, ours in MMPRETRAIN_NAMES:
        key = key.replace(theirs, ours)
    return key


def _unprefixed(state: State, network: nn.Module) -> State:
    """Take the common prefix off the names, judged by the network's first name."""
    first = next(iter(network.state_dict()))
    prefix = min((key for key in state if key.endswith(first)), key=len, default=first).removesuffix(first)
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _classifier_prefixes(network: nn.Module) -> tuple[str, ...]:
    settings: Any = network.pretrained_cfg
    names = settings.get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return (", ".join(shown[:SHOWN]) or "none") + more
