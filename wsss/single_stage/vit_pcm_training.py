"""ViT-PCM's losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wsss.methods.equivariance import (
    cut,
    sharpened,
    soft_cross_entropy,
    tiled,
    turned,
    turned_back,
    untiled,
)
from wsss.methods.pooling import max_pool
from wsss.models.apc import APC, APCOutput
from wsss.single_stage.apc_training import tag_loss
from wsss.single_stage.patches import on_grid
from wsss.single_stage.warm_up import WarmUp

if TYPE_CHECKING:
    from wsss.single_stage.vit_pcm import Training


class Equivariant(WarmUp):
    """Image labels teach the first view; what the network sees in it teaches the second one.

    Attributes:
        weights: Of the equivariance, by the name of its term.
    """

    def __init__(self, network: APC, training: Training, warm_up: int) -> None:
        """Keep the network and the settings.

        Args:
            network: The network.
            training: How it is trained.
            warm_up: See :class:`WarmUp`.

        Raises:
            ValueError: If more of the encoder's blocks are to learn than it has, or if the second view is no
                whole number of patches.
        """
        side = training.second.side
        if side % network.stride:
            raise ValueError(
                f"second.side: expected a multiple of the encoder's patches of {network.stride} pixels, "
                f"found {side}"
            )
        self.along = training.side // side
        self.weights = {"eq_loss": training.equivariance}
        super().__init__(network, training, warm_up)

    def losses(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """L = L_MCE + equivariance CE_eq.

        Args:
            network: The network.
            batch: ``images`` (B, 3, H, H), their ``tags`` (B, C), and what
                :func:`wsss.single_stage.vit_pcm_views.two_views` tells, ``second`` of them (B, 3, h, h).

        Returns:
            ``mce_loss`` and ``eq_loss``, with its weight; the latter 0 for weight 0.
        """
        output, weight = network(batch["images"], decode=False), self.weights["eq_loss"]
        # Probabilities' logarithms need float32, and torch refuses them under mixed precision.
        with torch.autocast(batch["images"].device.type, enabled=False):
            labels = tag_loss(max_pool(output.scores.float()), batch["tags"])
        views = self.equivariance(network, batch) if weight > 0 else labels.new_zeros(())
        return {"mce_loss": labels, "eq_loss": weight * views}

    def equivariance(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """CE_eq: what the second view shows by itself against what the first one says of it; a scalar."""
        predicted = untiled(_maps(network(tiled(batch["second"], self.along), decode=False)), self.along)
        # After what learns: under mixed precision, weights converted without gradient would be used again.
        with without_dropout(network):
            seen = _maps(network(batch["images"], decode=False))
        with torch.autocast(predicted.device.type, enabled=False):
            target = cut(turned_back(seen, batch["turns"]), batch["boxes"], predicted.shape[-1])
            return soft_cross_entropy(
                predicted, sharpened(turned(target, batch["second_turns"]), batch["tags"])
            )


@contextmanager
def without_dropout(network: nn.Module) -> Iterator[None]:
    """Let a network predict, without gradient, and train on afterwards."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(training)


def _maps(output: APCOutput) -> Tensor:
    return on_grid(output.scores.float(), output.grid)
