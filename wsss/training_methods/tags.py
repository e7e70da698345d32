"""Binary cross-entropy of each branch against the image's labels (AD-CAM, section 4.1)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F

from wsss.models.outputs import ClassifierOutput
from wsss.training_methods.contract import Trained

if TYPE_CHECKING:
    from wsss.config.classifiers import ClassifierTraining


def prepared(classifier: nn.Module, training: ClassifierTraining) -> nn.Module:
    """The classifier itself."""
    return classifier


def losses(
    network: nn.Module, batch: Mapping[str, Tensor], training: ClassifierTraining
) -> dict[str, Tensor]:
    """See :func:`tag_losses`."""
    return tag_losses(network(batch["images"], attention=False), batch["tags"])


def groups(network: nn.Module, training: ClassifierTraining) -> list[dict[str, Any]]:
    """See :func:`branch_groups`."""
    return branch_groups(network, training)


def trained(network: nn.Module, training: ClassifierTraining) -> Trained:
    """The classifier as it is."""
    return Trained(network.state_dict(), {})


def tag_losses(output: ClassifierOutput, tags: Tensor) -> dict[str, Tensor]:
    """Binary cross-entropy of both branches against the image's labels (AD-CAM, section 4.1).

    Args:
        output: What the classifier says of the images.
        tags: 1 for each class that an image shows, else 0, (B, C).

    Returns:
        ``cnn_loss`` and, for a network with a class token, ``vit_loss``.
    """
    logits = {"cnn_loss": output.cnn_logits, "vit_loss": output.vit_logits}
    return {
        name: F.binary_cross_entropy_with_logits(value, tags)
        for name, value in logits.items()
        if value is not None
    }


def branch_groups(classifier: nn.Module, training: ClassifierTraining) -> list[dict[str, Any]]:
    """Parameter groups of the two branches, each with its own rate and fall of the rate.

    Args:
        classifier: Has ``parameter_groups`` and ``head_parameters``.
        training: Its rates. With a ``head_factor`` the heads, which start at random, learn faster: they are
            then groups of their own, such as ``cnn_head``.
    """
    branches: dict[str, list[nn.Parameter]] = classifier.parameter_groups()  # type: ignore[operator]
    heads = {id(parameter) for parameter in classifier.head_parameters()}  # type: ignore[operator]
    if training.head_factor == 1:
        heads = set()
    return [
        group
        for branch, params in branches.items()
        if params
        for group in _groups_of(branch, params, heads, training)
    ]


def _groups_of(
    branch: str, params: Sequence[nn.Parameter], heads: Container[int], training: ClassifierTraining
) -> Iterator[dict[str, Any]]:
    """The groups of one branch, its head apart if that has another rate."""
    body = [parameter for parameter in params if id(parameter) not in heads]
    head = [parameter for parameter in params if id(parameter) in heads]
    rate = getattr(training, f"{branch}_lr")
    rates = {branch: (body, rate), f"{branch}_head": (head, rate * training.head_factor)}
    for name, (chosen, lr) in rates.items():
        if chosen:
            yield {
                "name": name,
                "params": chosen,
                "lr": lr,
                "power": getattr(training, f"{branch}_power"),
                "weight_decay": training.weight_decay,
            }
