"""Pretrain a small network on images painted as they are asked for: the weights in ``data/pretrained``.

The image labels are all that is learned from. The masks, which the painter knows, only measure at the end how
well the attention stays on the objects of images that were held back.

Three things make up for a training that is short beside ImageNet's. Attention is among tokens that are
alike, see :func:`attend_alike`, and among tokens that are near, see :func:`place_tokens`. And class maps are
pooled by their log-sum-exp, see :func:`shared_losses`: a mean rewards a network that spreads what it knows of
a small object to the ground around it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import validate_call
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.artefacts.files import PathLike
from wsss.config.configuration import PretrainedBackbone, Pretraining
from wsss.data.datasets import RescaledDataset, multi_hot
from wsss.data.generated import PRETRAIN_KINDS, PRETRAIN_LABELS, Scene, pretrain_labels, pretrain_scene
from wsss.methods.attention import aggregate_attention
from wsss.methods.object_attention import OnObject, attention_on_objects, token_owners
from wsss.models.backbone_classifier import BackboneClassifier
from wsss.models.classifiers import build_classifier
from wsss.models.colours import with_colours
from wsss.models.conformer import Conformer
from wsss.models.outputs import ClassifierOutput
from wsss.pretrained.state_dicts import timm_network
from wsss.stages.classify.train_classifier import augmentation
from wsss.stages.classify.train_classifier import schedule as classifier_schedule
from wsss.training import seed_everything
from wsss.training.run import Product, fit
from wsss.training_methods.tags import branch_groups

HELD_OUT = 400  # images
ALIKE = 12.0  # logit of a token's attention to itself; 0 would be even attention
LONGEST = 4.0  # times the shortest wave of position embeddings, which is of 2 pi tokens
PLACED = 0.67  # root mean square of position embeddings, about that of what patches hold at first

log = logging.getLogger(__name__)


@validate_call
def run(*, weights: PathLike, history: PathLike, settings: Pretraining) -> None:
    """Paint images and write a network trained on them, rounded to 16 bits, and its history.

    Args:
        weights: Weights artefact to write; names are the Conformer's own, or timm's.
        history: CSV to write.
        settings: The network, the images and the training.
    """
    settings = settings.model_copy(update={"network": with_colours(settings.network)})
    training, images = settings.training, settings.images
    seed_everything(images.seed)
    classifier = _build(settings)
    attend_alike(classifier)
    place_tokens(classifier)
    painted = _painted(settings, images.count, images.seed)
    held_out = _painted(settings, HELD_OUT, images.seed + 1)
    fit(
        classifier,
        shared_losses,
        painted,
        branch_groups(classifier, training),
        classifier_schedule(training, len(painted)),
        Product("pretrain_network", weights, history, {**settings.model_dump(), "seed": images.seed}),
        finish=partial(_log_scores, held_out=held_out),
        weights_of=_rounded,
    )


class PaintedScenes(RescaledDataset[int]):
    """Scenes for pretraining with their classes, augmented as a classifier's; each is painted when asked for.

    A scene follows from the seed and its position alone, so memory does not grow with their number, and a
    resumed training sees what it would have seen.
    """

    def __init__(self, count: int, side: Sequence[int], **common: Any) -> None:
        """Keep what to paint.

        Args:
            count: Number of scenes.
            side: Shortest and longest side in pixels.
            common: See :class:`wsss.data.datasets.RescaledDataset`.
        """
        super().__init__(range(count), **common)
        self.side = (side[0], side[1])

    def scene(self, position: int) -> Scene:
        """A scene as it is painted."""
        return pretrain_scene(position, self.side, self.seed)

    def augmented(self, source: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """``images`` float32 (3, crop, crop) and ``tags`` float32 (C,)."""
        scene = self.scene(source)
        labels = pretrain_labels(scene.classes)
        return {"images": self.view(scene.image, rng), "tags": multi_hot(labels, PRETRAIN_LABELS)}


def attend_alike(network: nn.Module) -> None:
    """Make each self-attention one among tokens that are alike: its keys are its queries, and both stay.

    What tokens hold, and so which are alike, is learned. Left free, queries and keys learn in a few hundred
    steps to look at the telling tokens from everywhere, from the ground as from the object.
    That queries and keys of trained vision transformers are alike found Trockman and Kolter (Mimetic
    initialization of self-attention layers, ICML 2023).

    Args:
        network: Its attentions are modules with a linear layer ``qkv`` and a number of heads, ``heads`` as a
            Conformer's or ``num_heads`` as timm's; changed in place.
    """
    for module in network.modules():
        if isinstance(qkv := getattr(module, "qkv", None), nn.Linear):
            width, heads = qkv.in_features, int(getattr(module, "num_heads", 0) or module.heads)  # type: ignore[arg-type]
            scale = float((width // heads) ** -0.5)
            with torch.no_grad():
                # Normalised tokens have squares that sum to the width: on itself each has the logit ALIKE.
                qkv.weight[:width].normal_(std=(ALIKE * scale / width) ** 0.5)
                qkv.weight[width : 2 * width] = qkv.weight[:width]
            for parameter in qkv.parameters():  # (3 width, ...): queries, keys, values
                parameter.register_hook(partial(_of_values, width))


def place_tokens(network: nn.Module) -> None:
    """Start position embeddings as waves, by which tokens that are near are alike; they learn from there.

    With random ones a token of the ground attends as much to an object far away as to what is around it.
    After 32,000 images objects' tokens keep 37 % of their attention to themselves with the waves and 34 %
    without; what single-stage training makes of the two weights differs by no more than chance.

    Args:
        network: Position embeddings are of timm's vision transformers in it, changed in place; a Conformer
            has none.
    """
    for module in network.modules():
        if isinstance(module, VisionTransformer):
            grid, width = list(module.patch_embed.grid_size), module.embed_dim
            waves = build_sincos2d_pos_embed(grid, width, temperature=LONGEST)  # (N, D), mean square 1 / 2
            with torch.no_grad():
                module.pos_embed[:, -len(waves) :] = waves * (PLACED * 2**0.5)


def _of_values(width: int, gradient: Tensor) -> Tensor:
    """A gradient of queries, keys and values without what moves the first two."""
    return torch.cat([torch.zeros_like(gradient[: 2 * width]), gradient[2 * width :]])


def shared_losses(classifier: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Cross-entropy of each head against the image's labels, which share the probability evenly.

    The class maps' logits are the log-sum-exp of each map over its cells, so that an object counts however
    small it is; the head's bias has no part in it.

    Args:
        classifier: Returns a ``ClassifierOutput``.
        batch: ``images`` (B, 3, H, W) and ``tags`` (B, C), at least one label an image.

    Returns:
        ``cnn_loss`` and, for a network with a class token, ``vit_loss``.
    """
    target = batch["tags"] / batch["tags"].sum(1, keepdim=True)
    heads = _heads(classifier(batch["images"], attention=False))
    return {name: F.cross_entropy(logits, target) for name, logits in heads.items()}  # (B, C) both


def _build(settings: Pretraining) -> nn.Module:
    if isinstance(settings.network, PretrainedBackbone):
        return BackboneClassifier(settings.network.backbone, PRETRAIN_LABELS)
    return build_classifier(settings.network, PRETRAIN_LABELS)


def _painted(settings: Pretraining, count: int, seed: int) -> PaintedScenes:
    return PaintedScenes(
        count, settings.images.side, **augmentation(settings.network, settings.training, seed)
    )


def _heads(output: ClassifierOutput) -> dict[str, Tensor]:
    heads = {"cnn_loss": output.class_maps.flatten(2).logsumexp(2), "vit_loss": output.vit_logits}
    return {name: logits for name, logits in heads.items() if logits is not None}


@torch.no_grad()
def _log_scores(classifier: nn.Module, held_out: PaintedScenes) -> None:
    """Log, of the held-out images, how many of the classes shown each head ranks first, and the attention."""
    device = next(classifier.parameters()).device
    stride = getattr(classifier, "token_stride", None)
    hits: list[list[float]] = []
    shares: list[OnObject] = []
    for position in range(len(held_out)):
        scene = held_out.scene(position)
        output = classifier(held_out.whole(scene.image)[None].to(device))
        ranked = [logits[0, : len(PRETRAIN_KINDS)] for logits in _heads(output).values()]
        hits.append([_ranked_first(logits, scene.classes) for logits in ranked])
        if output.attention is not None and stride is not None:
            owners = token_owners(torch.from_numpy(scene.mask), stride).to(device)
            found = attention_on_objects(aggregate_attention(output.attention[0]), owners)
            shares += [] if found is None else [found]
    log.info(
        "classes that each head ranks first, of %d held-out images: %s", len(hits), np.mean(hits, axis=0)
    )
    if shares:
        log.info("attention on objects: %s", OnObject(*np.mean(shares, axis=0)))


def _ranked_first(logits: Tensor, classes: tuple[int, ...]) -> float:
    """Share of an image's K classes that are among the K largest of the logits (C,)."""
    return len(set(logits.topk(len(classes)).indices.tolist()) & set(classes)) / len(classes)


def _rounded(classifier: nn.Module) -> Mapping[str, Tensor]:
    """Weights of the part that others start from, floating point numbers in 16 bits."""
    part = classifier if isinstance(classifier, Conformer) else timm_network(classifier)
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in part.state_dict().items()
    }
