"""Loading a trained network from its artefact."""

from typing import TypeVar

from torch import nn

from wsss.artefacts.files import ArtefactError, PathLike
from wsss.artefacts.formats import Manifest, open_tensors
from wsss.runtime.device import device

Network = TypeVar("Network", bound=nn.Module)


def load_network(network: Network, weights: PathLike, manifest: Manifest) -> Network:
    """Fill a network from a weights artefact made for the same classes, for inference on this job's device.

    Args:
        network: Built from the configuration; every parameter and buffer must be in the file, and no other.
        weights: The artefact of the network's training.
        manifest: The data set it is to be used on.

    Returns:
        The network in evaluation mode, on :func:`wsss.runtime.device.device`.
    """
    with open_tensors(weights, "weights") as shard:
        trained_for = shard.params.get("classes")
        if trained_for != list(manifest.classes):
            raise ArtefactError(
                f"{weights}: expected a network for the classes {list(manifest.classes)} of "
                f"{manifest.dataset!r}, found one for {trained_for}; train it on this data set"
            )
        state = {key: shard.get(key) for key in shard.keys()}  # noqa: SIM118 (not a mapping)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ArtefactError(
            f"{weights}: does not fit the configured network ({error}); it was trained with another "
            "configuration, remove it and run again"
        ) from error
    return network.eval().to(device())
