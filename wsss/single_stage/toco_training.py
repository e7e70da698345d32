"""ToCo's losses, and what changes on the way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.methods.certain_labels import certain_labels, refined_labels
from wsss.methods.crop_contrast import are_background, crop_contrast, cut_squares, draw_corners, region_codes
from wsss.methods.dense_energy import dense_energy
from wsss.methods.pamr import pamr
from wsss.methods.segmentation_loss import balanced_cross_entropy
from wsss.methods.token_contrast import token_contrast
from wsss.models.projection import follow
from wsss.models.toco import ToCo, ToCoOutput
from wsss.single_stage.vit_pcm_training import without_dropout

if TYPE_CHECKING:
    from wsss.single_stage.toco import Training


class TokenContrast:
    """Image labels teach two classifiers; the maps of the earlier one teach the tokens and the parts.

    Attributes:
        optimizer: AdamW.
        restart: It never forgets its moments.
        weights: Of the further terms, by name.
    """

    optimizer: Literal["adamw"] = "adamw"
    restart = None

    def __init__(self, network: ToCo, training: Training, iterations: int) -> None:
        """Keep the network and the settings.

        Args:
            network: The network.
            training: How it is trained.
            iterations: Of the whole training.
        """
        self.network, self.training = network, training
        self.warm_up = max(1, round(training.warm_up * iterations))
        self.decoder_start = round(training.decoder_start * iterations)
        self.weights = {
            "ptc_loss": training.token_contrast,
            "ctc_loss": training.crop_contrast.weight,
            "seg_loss": training.segmentation.weight,
            "energy_loss": training.energy.weight,
        }
        self.iteration = 0
        self.decoding = self.decoder_start == 0

    def begin(self, iteration: int) -> None:
        """Set the phase of an iteration, counted from 0; the teacher follows once after each."""
        self.decoding = iteration >= self.decoder_start
        if iteration != self.iteration:
            self.iteration = iteration
            follow(self.network.teacher, self.network.projection, self.training.crop_contrast.momentum)

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups whose rates rise in equal steps and then fall by a polynomial."""
        training = self.training
        factors = {"encoder": 1.0, "heads": training.head_factor}
        return [
            {
                "name": name,
                "params": params,
                "lr": training.lr * factors[name] / self.warm_up,
                "changes": [
                    (step, training.lr * factors[name] * (step + 1) / self.warm_up)
                    for step in range(1, self.warm_up)
                ],
                "power": training.power,
                "weight_decay": training.weight_decay,
            }
            for name, params in self.network.parameter_groups().items()
        ]

    def losses(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """All terms with their weights; those of the decoder are 0 before it starts.

        Args:
            network: The network.
            batch: ``images`` (B, 3, H, H), their ``tags`` (B, C), and the other views of them, see
                :func:`wsss.single_stage.toco_views.views_of`.

        Returns:
            ``cls_loss``, ``aux_loss``, ``ptc_loss``, ``ctc_loss``, ``seg_loss`` and ``energy_loss``.
        """
        toco, images, tags = cast(ToCo, network), batch["images"], batch["tags"]
        output: ToCoOutput = toco(images, decode=self.decoding)
        # After what learns: under mixed precision, weights converted without gradient would be used again.
        with without_dropout(toco):
            main, auxiliary = (maps * tags[:, :, None, None] for maps in toco.merged_maps(images))
        weights, nothing = self.weights, images.new_zeros(())
        parts = self.parts(toco, batch, auxiliary) if weights["ctc_loss"] > 0 else nothing
        # Sums over pairs and logarithms need float32.
        with torch.autocast(images.device.type, enabled=False):
            labels = self._certain(auxiliary).flatten(1)  # (B, N)
            return {
                "cls_loss": F.multilabel_soft_margin_loss(output.logits.float(), tags),
                "aux_loss": F.multilabel_soft_margin_loss(output.auxiliary_logits.float(), tags),
                "ptc_loss": weights["ptc_loss"] * token_contrast(output.tokens.float(), labels),
                "ctc_loss": weights["ctc_loss"] * parts,
                "seg_loss": weights["seg_loss"] * self._segmentation(output, images, main, tags),
                "energy_loss": weights["energy_loss"] * self._energy(output, images),
            }

    def parts(self, toco: ToCo, batch: dict[str, Tensor], maps: Tensor) -> Tensor:
        """The contrast of an image's large parts with these and its small ones; a scalar.

        Args:
            toco: The network.
            batch: See :meth:`losses`.
            maps: The auxiliary classifier's, of the classes that are there, (B, C, h, w).
        """
        images, settings = batch["images"], self.training.crop_contrast
        enlarged = F.interpolate(maps, images.shape[2:], mode="bilinear", align_corners=False)
        codes = region_codes(self._certain(enlarged))
        corners = draw_corners(codes, batch["chance"], settings.count, settings.side)
        squares = cut_squares(images, corners, settings.side)  # (B, P, 3, side, side)
        negative = are_background(codes, corners, settings.side, settings.background)
        large = torch.stack((batch["first"], batch["second"]), dim=1)  # (B, 2, 3, H', H')
        learning = [_codes(toco, toco.projection, views) for views in (large, squares)]
        with without_dropout(toco):
            wholes = _codes(toco, toco.teacher, large)
        # A large part is never mere background.
        return crop_contrast(torch.cat(learning, 1), wholes, F.pad(negative, (2, 0)), settings.temperature)

    def _segmentation(self, output: ToCoOutput, images: Tensor, maps: Tensor, tags: Tensor) -> Tensor:
        """Of the decoder, against the main classifier's maps refined on the image; 0 before it starts."""
        settings = self.training.segmentation
        if output.pixel_logits is None or settings.weight == 0:
            return images.new_zeros(())
        high, low, refine = self.training.high, self.training.low, partial(pamr, **settings.pamr.model_dump())
        labels = refined_labels(images, maps, tags, high=high, low=low, refine=refine)
        logits = output.pixel_logits.float()
        enlarged = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
        return balanced_cross_entropy(enlarged, labels)

    def _energy(self, output: ToCoOutput, images: Tensor) -> Tensor:
        """Of the decoder's probabilities on a coarse grid; 0 before it starts."""
        settings = self.training.energy
        if output.pixel_logits is None or settings.weight == 0:
            return images.new_zeros(())
        size = (settings.cells, settings.cells)
        logits = F.interpolate(output.pixel_logits.float(), size, mode="bilinear", align_corners=False)
        seen = F.interpolate(images, size, mode="area")
        return dense_energy(logits.softmax(1), seen, place=settings.place, colour=settings.colour)

    def _certain(self, maps: Tensor) -> Tensor:
        return certain_labels(maps, self.training.high, self.training.low)


def _codes(toco: ToCo, head: nn.Module, views: Tensor) -> Tensor:
    """Codes of several views of each image, (B, V, 3, H, W) -> (B, V, E)."""
    codes: Tensor = head(toco.class_token(views.flatten(0, 1)))
    return codes.unflatten(0, views.shape[:2])
