"""By what images are normalised where settings do not say it."""

from typing import Any

import pytest
import timm

from wsss.config.classifiers import PairCnn, PairNetwork, PairTransformer, TimmNetwork
from wsss.config.configuration import PretrainedBackbone
from wsss.config.networks import Backbone, Coloured
from wsss.models.colours import arguments_of, with_colours

HALF = [0.5, 0.5, 0.5]
IMAGENET = [0.485, 0.456, 0.406]


def network(model: str, **colours: Any) -> TimmNetwork:
    return TimmNetwork(kind="timm", model=model, **colours)


@pytest.mark.parametrize(
    ("asked", "mean"),
    [
        (network("vit_tiny_patch16_224"), HALF),
        (network("resnet50.tv_in1k", mean=None, std=None), IMAGENET),
        (PretrainedBackbone(backbone=Backbone(model="tf_efficientnet_lite0.in1k")), HALF),
        (network("vit_tiny_patch16_224", mean=IMAGENET, std=HALF), IMAGENET),
        (Coloured(mean=IMAGENET, std=HALF), IMAGENET),
    ],
)
def test_what_is_not_given_is_timm_s(asked: Coloured, mean: list[float]) -> None:
    filled = with_colours(asked)
    assert filled.colours[0] == mean and len(filled.colours[1]) == 3
    assert arguments_of(filled) == arguments_of(asked)


def test_the_numbers_are_those_of_the_weights() -> None:
    known = timm.get_pretrained_cfg("tf_efficientnet_lite0.in1k")
    mean, std = with_colours(network("tf_efficientnet_lite0.in1k")).colours
    assert (tuple(mean), tuple(std)) == (known.mean, known.std)


def test_a_pair_has_those_of_both() -> None:
    vit = PairTransformer(model="vit_tiny_patch16_224", learns=False)
    pair = PairNetwork(kind="pair", cnn=PairCnn(model="resnet50.tv_in1k", output_stride=16), vit=vit)
    filled = with_colours(pair)
    assert (filled.mean, filled.vit.mean) == (IMAGENET, HALF)


@pytest.mark.parametrize("asked", [network("nonsense"), Coloured()])
def test_what_timm_does_not_know_must_be_given(asked: Coloured) -> None:
    with pytest.raises(ValueError, match="whose normalisation it knows; give the network's mean and std"):
        with_colours(asked)
    with pytest.raises(ValueError, match="expected its mean and std, found none"):
        _ = asked.colours
