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

from wsss.data.datasets import RescaledDataset
from wsss.data.generated import PRETRAIN_CLASSES, pretrain_images
from wsss.data.transforms import Pixels
from wsss.files import PathLike
from wsss.models.backbone_classifier import BackboneClassifier
from wsss.models.classifiers import build_classifier
from wsss.models.conformer import Conformer
from wsss.models.weights import timm_network
from wsss.stages.train_classifier import augmentation, branch_groups
from wsss.stages.train_classifier import schedule as classifier_schedule
from wsss.stages.training_run import Product, fit
from wsss.training import seed_everything

HELD_OUT = 200

log = logging.getLogger(__name__)


def run(*, weights: PathLike, history: PathLike, settings: Mapping[str, Any]) -> None:
    """Paint images and write a network trained on them, rounded to 16 bits, and its history.

    Args:
        weights: Weights artefact to write; names are the Conformer's own, or timm's.
        history: CSV to write.
        settings: ``network`` (a classifier's, or one with a ``backbone``), ``images`` (``count``, ``seed``,
            ``side``) and ``training`` (a classifier's).
    """
    network, training, images = settings["network"], settings["training"], settings["images"]
    seed_everything(images["seed"])
    classifier = _build(network)
    painted = _paint(settings, images["count"], images["seed"])
    held_out = _paint(settings, HELD_OUT, images["seed"] + 1)
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


class SingleObjects(RescaledDataset[tuple[Pixels, int]]):
    """Generated images of one object each with their class, augmented as a classifier's."""

    def augmented(self, source: tuple[Pixels, int], rng: np.random.Generator) -> dict[str, Tensor]:
        """``images`` float32 (3, crop, crop) and ``classes`` int64."""
        image, label = source
        return {"images": self.view(image, rng), "classes": torch.tensor(label)}


def _build(network: Mapping[str, Any]) -> nn.Module:
    if "backbone" in network:
        return BackboneClassifier(network["backbone"], PRETRAIN_CLASSES)
    return build_classifier(network, PRETRAIN_CLASSES)


def _paint(settings: Mapping[str, Any], count: int, seed: int) -> SingleObjects:
    painted = list(pretrain_images(count, seed, settings["images"]["side"]))
    return SingleObjects(painted, **augmentation(settings["network"], settings["training"], seed))


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
    for picture, label in held_out.sources:
        image = held_out.whole(picture)[None].to(device)
        hits.append([int(logits.argmax()) == label for logits in _heads(classifier, image)])
    log.info("accuracy of each head on %d held-out images: %s", len(held_out), np.mean(hits, axis=0))


def _rounded(classifier: nn.Module) -> Mapping[str, Tensor]:
    """Weights of the part that others start from, floating point numbers in 16 bits."""
    part = classifier if isinstance(classifier, Conformer) else timm_network(classifier)
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in part.state_dict().items()
    }
