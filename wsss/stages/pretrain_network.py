"""Pretrain a small network on generated images of one object each: the weights in ``data/pretrained``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from wsss.data.generated import PRETRAIN_CLASSES, pretrain_images
from wsss.data.sampler import Sample
from wsss.data.transforms import normalise, random_crop, random_flip, random_rescale_long, to_tensor
from wsss.files import PathLike
from wsss.models.backbone_classifier import BackboneClassifier
from wsss.models.classifiers import build_classifier
from wsss.stages.train_classifier import branch_groups
from wsss.stages.train_classifier import schedule as classifier_schedule
from wsss.stages.training_run import Product, fit
from wsss.training import seed_everything

HELD_OUT = 200

log = logging.getLogger(__name__)


def run(*, weights: PathLike, history: PathLike, settings: Mapping[str, Any]) -> None:
    """Paint images and write a network trained on them, rounded to 16 bits, and its history.

    Args:
        weights: Weights artefact to write; names are the Conformer's own, or timm's for a backbone.
        history: CSV to write.
        settings: ``network`` (a classifier's, or one with a ``backbone``), ``images`` (``count``, ``seed``,
            ``side``) and ``training`` (a classifier's).
    """
    network, training, images = settings["network"], settings["training"], settings["images"]
    seed_everything(images["seed"])
    classifier = _build(network)
    painted = SingleObjects(network, training, images, images["count"], images["seed"])
    held_out = SingleObjects(network, training, images, HELD_OUT, images["seed"] + 1)
    fit(
        classifier,
        _losses,
        painted,
        branch_groups(classifier, training),
        classifier_schedule(training, len(painted)),
        Product("pretrain_network", weights, history, {**settings, "seed": images["seed"]}),
        finish=partial(_log_accuracy, held_out=held_out),
        weights_of=_rounded,
    )


class SingleObjects(Dataset[dict[str, Tensor]]):
    """Generated images of one object each with their class, augmented as a classifier's."""

    def __init__(
        self,
        network: Mapping[str, Any],
        training: Mapping[str, Any],
        images: Mapping[str, Any],
        count: int,
        seed: int,
    ) -> None:
        """Paint ``count`` images."""
        self.painted = list(pretrain_images(count, seed, images["side"]))
        self.mean, self.std = network["mean"], network["std"]
        self.crop, (self.shortest, self.longest) = training["crop"], training["rescale"]
        self.seed = seed

    def __len__(self) -> int:
        """Number of images."""
        return len(self.painted)

    def __getitem__(self, sample: Sample) -> dict[str, Tensor]:
        """``images`` float32 (3, crop, crop) and ``classes`` int64."""
        rng = np.random.default_rng([self.seed, sample.position])
        image, index = self.painted[sample.index]
        image, _ = random_rescale_long(image, None, self.shortest, self.longest, rng)
        image, _ = random_flip(image, None, rng)
        cropped, _ = random_crop(normalise(image, self.mean, self.std), None, self.crop, rng)
        return {"images": to_tensor(cropped), "classes": torch.tensor(index)}

    def whole(self, index: int) -> tuple[Tensor, int]:
        """An image as it was painted, (3, H, W), and its class."""
        image, label = self.painted[index]
        return to_tensor(normalise(image, self.mean, self.std)), label


def _build(network: Mapping[str, Any]) -> nn.Module:
    if "backbone" in network:
        return BackboneClassifier(network["backbone"], PRETRAIN_CLASSES)
    return build_classifier(network, PRETRAIN_CLASSES)


def _heads(classifier: nn.Module, images: Tensor) -> Sequence[Tensor]:
    output = classifier(images, attention=False)
    return [logits for logits in (output.cnn_logits, output.vit_logits) if logits is not None]


def _losses(classifier: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    heads = _heads(classifier, batch["images"])
    names = ("cnn_loss", "vit_loss")
    return {
        name: F.cross_entropy(logits, batch["classes"]) for name, logits in zip(names, heads, strict=False)
    }


@torch.no_grad()
def _log_accuracy(classifier: nn.Module, held_out: SingleObjects) -> None:
    device = next(classifier.parameters()).device
    hits: list[list[bool]] = []
    for position in range(len(held_out)):
        image, label = held_out.whole(position)
        hits.append([int(logits.argmax()) == label for logits in _heads(classifier, image[None].to(device))])
    log.info("accuracy of each head on %d held-out images: %s", len(held_out), np.mean(hits, axis=0))


def _rounded(classifier: nn.Module) -> Mapping[str, Tensor]:
    """Weights of the part that others start from, floating point numbers in 16 bits."""
    part = classifier.backbone.model if isinstance(classifier, BackboneClassifier) else classifier
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in part.state_dict().items()
    }
