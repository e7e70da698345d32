"""ReCAM's second step: a trained classifier goes on beside a softmax head on its classes' own features.

Chen et al., CVPR 2022, as its code runs; the mathematics is :mod:`wsss.methods.recam`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from wsss.methods.recam import class_features, combine, present_class_loss
from wsss.models.second_head import SecondHead
from wsss.training_methods.contract import Trained
from wsss.training_methods.tags import branch_groups, tag_losses

if TYPE_CHECKING:
    from wsss.config.classifiers import RecamTraining


def prepared(classifier: nn.Module, training: RecamTraining) -> nn.Module:
    """The classifier with a second head, at random, on the features of its class maps."""
    return SecondHead(classifier)


def losses(network: nn.Module, batch: Mapping[str, Tensor], training: RecamTraining) -> dict[str, Tensor]:
    """The losses on image labels and, ``weight`` times, the softmax loss of the classes present.

    Returns:
        Those of :func:`wsss.training_methods.tags.tag_losses`, and ``recam_loss``.
    """
    both, tags = cast(SecondHead, network), batch["tags"]
    output = both.classifier(batch["images"], attention=False)
    with torch.autocast(tags.device.type, enabled=False):  # sums over all positions leave 16 bits' range
        features = class_features(output.map_features.float(), output.class_maps.float())  # (B, C, D)
        softmax = present_class_loss(both.second(features), tags)
    return {**tag_losses(output, tags), "recam_loss": training.weight * softmax}


def groups(network: nn.Module, training: RecamTraining) -> list[dict[str, Any]]:
    """The classifier's groups, and ``second``, whose rate ``second_lr`` falls as that of the class maps."""
    both = cast(SecondHead, network)
    second = {
        "name": "second",
        "params": list(both.second.parameters()),
        "lr": training.second_lr,
        "power": training.cnn_power,
        "weight_decay": training.weight_decay,
    }
    return [*branch_groups(both.classifier, training), second]


def trained(network: nn.Module, training: RecamTraining) -> Trained:
    """The classifier, whose head is both heads' combination without a bias; both as learnt beside it."""
    both = cast(SecondHead, network)
    state, name = both.classifier.state_dict(), both.head_name()
    own = {part: state[f"{name}.{part}"] for part in ("weight", "bias") if f"{name}.{part}" in state}
    second = both.second.weight.detach()
    head = {part: torch.zeros_like(value) for part, value in own.items()}
    head["weight"] = combine(own["weight"].flatten(1), second, training.combine).view_as(own["weight"])
    beside = {f"first.{part}": value for part, value in own.items()} | {"second.weight": second}
    return Trained({**state, **{f"{name}.{part}": value for part, value in head.items()}}, beside)
