"""Train the single-stage network on image labels: patch classes, their contrast, and a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.artefacts.files import PathLike
from wsss.artefacts.formats import read_manifest
from wsss.data.datasets import SquareDataset
from wsss.methods.contrast import patch_contrast
from wsss.methods.patch_labels import patch_labels
from wsss.methods.pooling import pool
from wsss.methods.segmentation_loss import LOSSES
from wsss.models.apc import APC, APCOutput, build_apc
from wsss.models.colours import with_colours
from wsss.prediction.apc_outputs import check_side
from wsss.training import Schedule, seed_everything
from wsss.training.idle_terms import warn_of_idle_terms
from wsss.training.run import Product, fit, start
from wsss.training.schedule import epochs_to_iterations

ALL = "all"  # the encoder's blocks that learn


def run(
    *,
    manifest: PathLike,
    weights: PathLike,
    history: PathLike,
    network: Mapping[str, Any],
    initial: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
) -> None:
    """Read images and their labels, write the trained network and its history.

    Images are resized to a square and mirrored at random; the paper names no other augmentation.

    Args:
        manifest: The data set.
        weights: Where to write the trained network.
        history: Where to write one row per iteration; losses as they were added, weights included.
        network: See :func:`wsss.models.apc.build_apc`; its ``encoder`` gets the initial weights.
        initial: See :func:`wsss.pretrained.initial_weights.load_initial`.
        training: ``epochs``, of which the first ``warm_up`` train at ``warm_up_lr``, without the encoder if
            ``freeze``, the others at ``lr``; the decoder learns after the first ``decoder_start`` epochs.
            ``learns``, what of the encoder does when it does: ``all`` (also if left out), or so many of the
            last blocks with the final norm. ``new_adam``, whether Adam starts anew after the warm-up.
            ``patch_decay``, what Adam adds to the gradient of the patch classifier's weights, times these.
            ``batch``, ``accumulate``, ``side`` in pixels, ``precision``; and what makes the loss, see
            :func:`apc_losses`.
        seed: Of all chance.
    """
    network = with_colours(network)
    data = read_manifest(manifest)
    seed_everything(seed)
    apc = build_apc(network, data.num_classes)
    check_side(apc, training["side"])
    params = start(apc.encoder, data, network, initial, training, seed)
    dataset = SquareDataset(
        data.split("train"),
        data.num_classes,
        side=training["side"],
        mean=network["mean"],
        std=network["std"],
        seed=seed,
    )
    warm_up, decoder_start = (
        _iterations(training, training[name], len(dataset)) for name in ("warm_up", "decoder_start")
    )
    schedule = _schedule(training, len(dataset), warm_up)
    phases = Phases(apc, training, warm_up, decoder_start)
    product = Product("train_apc", weights, history, params, {"manifest": manifest})
    fit(apc, phases.losses, dataset, phases.groups(), schedule, product, at_iteration=phases.begin)
    warn_of_idle_terms(history, {"pce_loss": training["alpha"], "seg_loss": training["beta"]})


def _schedule(training: Mapping[str, Any], images: int, warm_up: int) -> Schedule:
    iterations = _iterations(training, training["epochs"], images)
    batch, accumulate = training["batch"], training["accumulate"]
    restart = warm_up if training.get("new_adam", False) else None
    return Schedule(iterations, batch, accumulate, "adam", precision=training["precision"], restart=restart)


def _iterations(training: Mapping[str, Any], epochs: int, images: int) -> int:
    return epochs_to_iterations(epochs, images, training["batch"] * training["accumulate"])


class Phases:
    """A training in phases: the encoder may rest at first, the decoder joins, and the rates change."""

    def __init__(self, apc: APC, training: Mapping[str, Any], warm_up: int, decoder_start: int) -> None:
        """Keep the network and the settings.

        Args:
            apc: The network, frozen and thawed as the training goes on.
            training: See :func:`run`.
            warm_up: Iterations at the first rate, and of the encoder's rest; 0 skips them.
            decoder_start: Iterations before the decoder's loss is added.

        Raises:
            ValueError: If more of the encoder's blocks are to learn than it has.
        """
        self.apc, self.training = apc, training
        self.warm_up, self.decoder_start = warm_up, decoder_start
        learns = training.get("learns", ALL)
        self.learns: int | None = None if learns == ALL else learns
        apc.let_encoder_learn(
            self.learns
        )  # too many blocks are refused now, not when the encoder's rest ends
        self.begin(0)

    def begin(self, iteration: int) -> None:
        """Set the phase of an iteration, counted from 0."""
        self.decoding = iteration >= self.decoder_start and self.training["beta"] > 0
        frozen = self.training["freeze"] and iteration < self.warm_up
        self.apc.let_encoder_learn(0 if frozen else self.learns)

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups with their constant rates; the encoder's is 0 while it is frozen."""
        warm_up_lr, decay = self.training["warm_up_lr"], self.training["patch_decay"]
        resting = ("encoder",) if self.training["freeze"] else ()
        return [
            {
                "name": name,
                "params": params,
                "lr": 0.0 if name in resting else warm_up_lr,
                "changes": [(self.warm_up, self.training["lr"])],
                "power": 0.0,
                "weight_decay": decay if name == "patch_classifier" else 0.0,
            }
            for name, params in self.apc.parameter_groups().items()
        ]

    def losses(self, apc: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The phase's losses of a batch, ``images`` (B, 3, H, W) and ``tags`` (B, C); see apc_losses."""
        output = apc(batch["images"], decode=self.decoding)
        # Probabilities' logarithms need float32, and torch refuses them under mixed precision.
        with torch.autocast(batch["images"].device.type, enabled=False):
            return apc_losses(output, batch["images"], batch["tags"], self.training)


def apc_losses(
    output: APCOutput, images: Tensor, tags: Tensor, settings: Mapping[str, Any]
) -> dict[str, Tensor]:
    """L = L_MCE + alpha L_PCE + beta L_SEG (APC, section 3).

    Args:
        output: The network's.
        images: Normalised images, (B, 3, H, W), which refine the decoder's target.
        tags: 1 for each class that an image shows, (B, C).
        settings: ``pooling`` (see :func:`pool`); ``contrast`` (see :func:`patch_contrast`) and its weight
            ``alpha``; ``segmentation``, whether it is ``balanced`` and the ``pamr`` settings of its target or
            None, and its weight ``beta``. A term of weight 0 is 0, as is the last one in the warm-up.

    Returns:
        ``mce_loss``, ``pce_loss`` and ``seg_loss``: the three terms, with their weights.
    """
    scores = output.scores.float()  # (B, N, C+1)
    nothing = scores.new_zeros(())
    contrast = segmentation = nothing
    if settings["alpha"] > 0:
        contrast = patch_contrast(output.features.float(), scores[..., 1:], tags, **settings["contrast"])
    if settings["beta"] > 0 and output.pixel_logits is not None:
        segmentation = decoder_loss(output, images, tags, **settings["segmentation"])
    return {
        "mce_loss": tag_loss(pool(scores, settings["pooling"]), tags),
        "pce_loss": settings["alpha"] * contrast,
        "seg_loss": settings["beta"] * segmentation,
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


def decoder_loss(
    output: APCOutput, images: Tensor, tags: Tensor, balanced: bool, pamr: Mapping[str, Any] | None
) -> Tensor:
    """Cross-entropy of the decoder against what the patches say, at the images' size (APC, L_SEG).

    Args:
        output: The network's, with ``pixel_logits``.
        images: Normalised images, (B, 3, H, W).
        tags: 1 for each class that an image shows, (B, C).
        balanced: Whether background and foreground weigh alike.
        pamr: Settings of the target's refinement, or None for patches as they are.

    Returns:
        A scalar.
    """
    assert output.pixel_logits is not None
    height, width = images.shape[2:]
    labels = patch_labels(output.scores.float(), tags, output.grid, (height, width), pamr, images)
    logits = F.interpolate(output.pixel_logits.float(), (height, width), mode="bilinear", align_corners=False)
    return LOSSES["balanced" if balanced else "cross_entropy"](logits, labels)
