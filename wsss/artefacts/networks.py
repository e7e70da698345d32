"""Loading a trained network from its artefact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from wsss.artefacts.files import ArtefactError, PathLike
from wsss.artefacts.formats import Manifest, Shard, open_tensors

if TYPE_CHECKING:  # seconds of every start, for those that only look at what a file holds
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")
BESIDE = "beside."  # begins the names of tensors that were kept of a training and are not the network's


def with_beside(state: Mapping[str, Tensor], beside: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors for one file with others that are kept beside them."""
    return {**state, **{f"{BESIDE}{name}": tensor for name, tensor in beside.items()}}


def names_of(shard: Shard) -> list[str]:
    """Names of the network's tensors in a weights artefact, without what is kept beside them."""
    return [name for name in shard.keys() if not name.startswith(BESIDE)]  # noqa: SIM118 (not a mapping)


def load_network(network: Network, weights: PathLike, manifest: Manifest) -> Network:
    """Fill a network from a weights artefact made for the same classes, for inference on this job's device.

    Args:
        network: Built from the configuration; every parameter and buffer must be in the file, and no other.
        weights: The artefact of the network's training.
        manifest: The data set it is to be used on.

    Returns:
        The network in evaluation mode, on :func:`wsss.runtime.device.device`.
    """
    from wsss.runtime.device import device

    with open_tensors(weights, "weights") as shard:
        trained_for = shard.params.get("classes")
        if trained_for != list(manifest.classes):
            raise ArtefactError(
                f"{weights}: expected a network for the classes {list(manifest.classes)} of "
                f"{manifest.dataset!r}, found one for {trained_for}; train it on this data set"
            )
        state = {key: shard.get(key) for key in names_of(shard)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ArtefactError(
            f"{weights}: does not fit the configured network ({error}); it was trained with another "
            "configuration, remove it and run again"
        ) from error
    return network.eval().to(device())
