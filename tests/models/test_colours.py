"""By what images are normalised where settings do not say it."""

from typing import Any

import pytest
import timm

from wsss.models.colours import with_colours, without_colours

HALF = [0.5, 0.5, 0.5]
IMAGENET = [0.485, 0.456, 0.406]


@pytest.mark.parametrize(
    ("network", "mean"),
    [
        ({"model": "vit_tiny_patch16_224"}, HALF),
        ({"model": "resnet50.tv_in1k", "mean": None, "std": None}, IMAGENET),
        ({"backbone": {"model": "tf_efficientnet_lite0.in1k"}}, HALF),
        ({"model": "vit_tiny_patch16_224", "mean": IMAGENET, "std": HALF}, IMAGENET),
        ({"kind": "conformer", "mean": IMAGENET, "std": HALF}, IMAGENET),
    ],
)
def test_what_is_not_given_is_timm_s(network: dict[str, Any], mean: list[float]) -> None:
    filled = with_colours(network)
    assert filled["mean"] == mean and len(filled["std"]) == 3
    assert without_colours(filled) == without_colours(network)


def test_the_numbers_are_those_of_the_weights() -> None:
    known = timm.get_pretrained_cfg("tf_efficientnet_lite0.in1k")
    filled = with_colours({"model": "tf_efficientnet_lite0.in1k", "mean": None, "std": None})
    assert (tuple(filled["mean"]), tuple(filled["std"])) == (known.mean, known.std)


def test_a_pair_has_those_of_both() -> None:
    pair = {"kind": "pair", "cnn": {"model": "resnet50.tv_in1k"}, "vit": {"model": "vit_tiny_patch16_224"}}
    filled = with_colours(pair)
    assert (filled["mean"], filled["vit"]["mean"]) == (IMAGENET, HALF)


@pytest.mark.parametrize("network", [{"model": "nonsense"}, {"kind": "conformer"}])
def test_what_timm_does_not_know_must_be_given(network: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="whose normalisation it knows; give the network's mean and std"):
        with_colours(network)
