"""APC's losses, and the phases of its training (APC, section 3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.methods.contrast import patch_contrast
from wsss.methods.pamr import pamr
from wsss.methods.patch_labels import patch_labels
from wsss.methods.pooling import pool
from wsss.methods.segmentation_loss import LOSSES
from wsss.models.apc import APC, APCOutput
from wsss.single_stage.warm_up import WarmUp

if TYPE_CHECKING:
    from wsss.single_stage.apc import Segmentation, Training


class Phases(WarmUp):
    """A training in phases: the encoder may be frozen at first, the decoder joins, and the rates change.

    Attributes:
        weights: Of the contrast and of the decoder's loss, by the names of these terms.
    """

    def __init__(self, apc: APC, training: Training, warm_up: int, decoder_start: int) -> None:
        """Keep the network and the settings.

        Args:
            apc: The network.
            training: How it is trained.
            warm_up: See :class:`WarmUp`.
            decoder_start: Iterations before the decoder's loss is added.

        Raises:
            ValueError: If more of the encoder's blocks are to learn than it has.
        """
        self.settings, self.decoder_start = training, decoder_start
        self.weights = {"pce_loss": training.alpha, "seg_loss": training.beta}
        super().__init__(apc, training, warm_up)

    def begin(self, iteration: int) -> None:
        """Set the phase of an iteration, counted from 0."""
        super().begin(iteration)
        self.decoding = iteration >= self.decoder_start and self.weights["seg_loss"] > 0

    def losses(self, apc: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The phase's losses of ``images`` (B, 3, H, W) and ``tags`` (B, C), see :func:`apc_losses`."""
        output = apc(batch["images"], decode=self.decoding)
        # Probabilities' logarithms need float32, and torch refuses them under mixed precision.
        with torch.autocast(batch["images"].device.type, enabled=False):
            return apc_losses(output, batch["images"], batch["tags"], self.settings)


def apc_losses(output: APCOutput, images: Tensor, tags: Tensor, training: Training) -> dict[str, Tensor]:
    """L = L_MCE + alpha L_PCE + beta L_SEG (APC, section 3).

    Args:
        output: The network's.
        images: Normalised images, (B, 3, H, W), which refine the decoder's target.
        tags: 1 for each class that an image shows, (B, C).
        training: Pooling, contrast and decoder with their weights. A term of weight 0 is 0, as is the last
            one in the warm-up.

    Returns:
        ``mce_loss``, ``pce_loss`` and ``seg_loss``: the three terms, with their weights.
    """
    scores = output.scores.float()  # (B, N, C+1)
    nothing = scores.new_zeros(())
    contrast = segmentation = nothing
    if training.alpha > 0:
        chosen = training.contrast.model_dump()
        contrast = patch_contrast(output.features.float(), scores[..., 1:], tags, **chosen)
    if training.beta > 0 and output.pixel_logits is not None:
        segmentation = decoder_loss(output, images, tags, training.segmentation)
    return {
        "mce_loss": tag_loss(pool(scores, **training.pooling.model_dump()), tags),
        "pce_loss": training.alpha * contrast,
        "seg_loss": training.beta * segmentation,
    }


def tag_loss(pooled: Tensor, tags: Tensor) -> Tensor:
    """Mean binary cross-entropy of an image's scores; every image shows some background (APC, L_MCE).

    Args:
        pooled: Probabilities, background first, (B, C+1).
        tags: 1 for each foreground class that an image shows, (B, C).

    Returns:
        A scalar.
    """
    # The mean of probabilities may end a rounding above 1.
    return F.binary_cross_entropy(pooled.clamp(0, 1), F.pad(tags, (1, 0), value=1.0))


def decoder_loss(output: APCOutput, images: Tensor, tags: Tensor, settings: Segmentation) -> Tensor:
    """Cross-entropy of the decoder against what the patches say, at the images' size (APC, L_SEG).

    Args:
        output: The network's, with ``pixel_logits``.
        images: Normalised images, (B, 3, H, W).
        tags: 1 for each class that an image shows, (B, C).
        settings: Whether background and foreground weigh alike, and the target's refinement.

    Returns:
        A scalar.
    """
    assert output.pixel_logits is not None
    height, width = images.shape[2:]
    refine = partial(pamr, **settings.pamr.model_dump()) if settings.pamr else None
    labels = patch_labels(output.scores.float(), tags, output.grid, (height, width), refine, images)
    logits = F.interpolate(output.pixel_logits.float(), (height, width), mode="bilinear", align_corners=False)
    return LOSSES["balanced" if settings.balanced else "cross_entropy"](logits, labels)
