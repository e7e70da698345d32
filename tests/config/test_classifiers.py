"""Classifiers in the configuration: what is refused, and with which words."""

import copy
from typing import Any

import pytest

from tests.support.settings import CONFIG, refusal, valid
from wsss.config.checks import check_config
from wsss.config.configuration import Configuration
from wsss.config.errors import ConfigError

SEEN = {"supervision": "photographs", "pixel_labels": False}
PAIR = ("resnet50_dinov2", "network")


@pytest.fixture
def classifiers() -> dict[str, Any]:
    return copy.deepcopy(CONFIG["classifiers"])


def refused(classifiers: dict[str, Any]) -> str:
    return refusal({**CONFIG, "classifiers": classifiers})


def put(settings: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        settings = settings[key]
    settings[keys[-1]] = value


def test_all_kinds_are_configured(classifiers: dict[str, Any]) -> None:
    kinds = {variant["network"]["kind"] for variant in classifiers.values()}
    assert kinds == {"conformer", "cnn", "timm", "pair"}


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("resnet50", "network", "kind"), "resnet50", "network.kind: expected one of 'conformer', 'cnn', "),
        (("resnet50", "network", "output_stride"), 24, "output_stride: expected 4, 8, 16 or 32, found 24"),
        (("resnet50", "network", "frozn"), [], "network.frozn: unknown key; did you mean 'frozen'?"),
        (
            ("resnet50", "training", "optimizer"),
            "adagrad",
            "training.optimizer: expected 'adamw' or 'sgd', found 'adagrad'",
        ),
        (("resnet50", "initial"), {"cnn": SEEN}, "initial.vit: expected a value, found none"),
        (
            ("resnet50", "initial"),
            {"cnn": SEEN, "vit": SEEN},
            "initial: expected weights of one network, for a network of kind cnn, found cnn and vit",
        ),
        ((*PAIR, "cnn", "learns"), True, "network.cnn.learns: unknown key"),
        ((*PAIR, "vit", "learns"), 1, "network.vit.learns: expected true or false, found 1"),
        ((*PAIR, "vit", "stride"), 16, "network.vit.stride: unknown key"),
        (
            ("resnet50_dinov2", "initial"),
            SEEN,
            "initial: expected cnn and vit, each with its own weights, for a network of kind pair",
        ),
        (("conformer_small", "network", "token_head"), "all", "expected 'class' or 'patches', found 'all'"),
        (
            (*PAIR, "cnn", "mean"),
            [0.5, 0.5, 0.5],
            "network.cnn.mean: expected the pair's [0.485, 0.456, 0.406], or nothing, found [0.5, 0.5, 0.5]",
        ),
        (
            ("conformer_small", "initial"),
            {**SEEN, "timm": True},
            "initial.timm: expected a file for a Conformer, which timm does not have, found true",
        ),
    ],
)
def test_what_is_wrong_is_named(
    classifiers: dict[str, Any], keys: tuple[str, ...], value: Any, words: str
) -> None:
    put(classifiers, keys, value)
    said = refused(classifiers)
    assert said.startswith(f"classifiers.{keys[0]}.") and words in said


def test_a_pair_s_cnn_may_repeat_the_normalisation(classifiers: dict[str, Any]) -> None:
    put(classifiers, (*PAIR, "cnn", "std"), [0.229, 0.224, 0.225])
    assert valid({**CONFIG, "classifiers": classifiers})


@pytest.mark.parametrize(
    ("name", "learns", "needed"),
    [
        ("conformer_small", None, True),
        ("vit_tiny", None, True),
        ("resnet50", None, False),
        ("resnet50_dinov2", False, False),
        ("resnet50_dinov2", True, True),
    ],
)
def test_only_a_transformer_that_learns_needs_a_rate(
    classifiers: dict[str, Any], name: str, learns: bool | None, needed: bool
) -> None:
    variant = copy.deepcopy(classifiers[name])
    del variant["training"]["vit_lr"]
    if learns is not None:
        variant["network"]["vit"]["learns"] = learns
    classifiers["mine"] = variant
    if not needed:
        assert valid({**CONFIG, "classifiers": classifiers})
        return
    expected = "classifiers.mine.training.vit_lr: expected a number for a transformer that learns, found none"
    assert refused(classifiers) == expected


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("training", "kind"), "recal", "training.kind: expected one of 'tags', 'recam', found 'recal'"),
        (("training", "combine"), "mean", "training.combine: expected 'product', 'first', 'second' or 'sum'"),
        (("training", "second_lr"), 0, "training.second_lr: "),
        (("training", "kind"), "tags", "training.second_lr: unknown key"),
        (("initial", "file"), None, "initial.file: unknown key"),
    ],
)
def test_what_is_wrong_with_recam_is_named(
    classifiers: dict[str, Any], keys: tuple[str, ...], value: Any, words: str
) -> None:
    put(classifiers, ("resnet50_recam", *keys), value)
    assert words in refused(classifiers)


def test_a_training_without_a_kind_is_on_image_labels(classifiers: dict[str, Any]) -> None:
    del classifiers["resnet50"]["training"]["kind"]
    known = Configuration.model_validate({**CONFIG, "classifiers": classifiers}).classifiers
    assert known["resnet50"].training.kind == "tags" and known["resnet50_recam"].training.kind == "recam"


@pytest.mark.parametrize("start", ["resnet51", "resnet50_recam"])
def test_a_classifier_goes_on_from_one_with_weights_of_its_own(
    classifiers: dict[str, Any], start: str
) -> None:
    """Neither from one that there is not, nor from itself or another that goes on."""
    put(classifiers, ("resnet50_recam", "initial", "classifier"), start)
    expected = r"initial.classifier: expected a classifier that starts from weights of its own \(.*resnet50,"
    with pytest.raises(ConfigError, match=f"classifiers.resnet50_recam.{expected}.*found '{start}'"):
        check_config({**CONFIG, "classifiers": classifiers})


def test_weights_are_shared_with_a_classifier_of_the_same_training(classifiers: dict[str, Any]) -> None:
    """Of whatever views, and of one that goes on from a third."""
    for name in ("resnet50", "resnet50_recam"):
        views = {**classifiers[name]["views"], "scales": [1.0]}
        classifiers[f"{name}_one"] = {**classifiers[name], "weights_of": name, "views": views}
    check_config({**CONFIG, "classifiers": classifiers})


@pytest.mark.parametrize("part", ["network", "initial", "training"])
def test_weights_of_another_training_are_refused(classifiers: dict[str, Any], part: str) -> None:
    other = {**classifiers["resnet50"], part: classifiers["resnet50_recam"][part]}
    classifiers["mine"] = {**other, "weights_of": "resnet50"}
    expected = f"classifiers.mine.weights_of: expected the {part} of 'resnet50', found another {part}; extend"
    with pytest.raises(ConfigError, match=expected):
        check_config({**CONFIG, "classifiers": classifiers})


@pytest.mark.parametrize("shared", ["resnet51", "mine", "shared"])
def test_weights_are_those_of_a_classifier_that_is_trained(classifiers: dict[str, Any], shared: str) -> None:
    """Neither of one that there is not, nor its own or those that another shares."""
    for name, weights in (("shared", "resnet50"), ("mine", shared)):
        classifiers[name] = {**classifiers["resnet50"], "weights_of": weights}
    expected = r"mine.weights_of: expected a classifier that is trained itself \(.*resnet50,"
    with pytest.raises(ConfigError, match=f"classifiers.{expected}.*found '{shared}'"):
        check_config({**CONFIG, "classifiers": classifiers})


def test_a_classifier_goes_on_from_one_that_is_trained(classifiers: dict[str, Any]) -> None:
    classifiers["shared"] = {**classifiers["resnet50"], "weights_of": "resnet50"}
    put(classifiers, ("resnet50_recam", "initial", "classifier"), "shared")
    with pytest.raises(ConfigError, match=r"resnet50_recam.initial.classifier: .*found 'shared'"):
        check_config({**CONFIG, "classifiers": classifiers})


@pytest.mark.parametrize(
    ("name", "kind", "mirror", "words"),
    [
        (
            "resnet50",
            "getam",
            True,
            "getam takes attention behind a class token's logits: expected a network",
        ),
        ("conformer_small", "getam", True, "of kind timm, found conformer"),
        ("vit_tiny", "rib", True, "rib takes convolutions that learn: expected a network of kind cnn, conf"),
        ("resnet50", "rib", False, "expected views.mirror true, found false"),
        ("vit_tiny", "advcam", False, "expected views.mirror true, found false"),
        ("vit_tiny", "advcam", True, None),
        ("conformer_small", "rib", True, None),
        ("vit_tiny", "getam", False, None),
    ],
)
def test_maps_are_derived_of_classifiers_that_can_give_them(
    classifiers: dict[str, Any], name: str, kind: str, mirror: bool, words: str | None
) -> None:
    maps = next(one["maps"] for one in classifiers.values() if one["maps"] and one["maps"]["kind"] == kind)
    mine = copy.deepcopy({**classifiers[name], "maps": maps})
    mine["views"]["mirror"] = mirror
    classifiers["mine"] = mine
    if words is None:
        check_config({**CONFIG, "classifiers": classifiers})
        return
    with pytest.raises(ConfigError) as refusal:
        check_config({**CONFIG, "classifiers": classifiers})
    assert "classifiers.mine.maps: " in str(refusal.value) and words in str(refusal.value)


def test_only_cam_reads_derived_maps(classifiers: dict[str, Any]) -> None:
    sample = copy.deepcopy(CONFIG["datasets"]["sample"])
    sample["main"] |= {"classifier": "vit_nano_getam", "method": "adcam_n020"}
    with pytest.raises(
        ConfigError, match=r"needs attention, which classifier 'vit_nano_getam' does not store"
    ):
        check_config({**CONFIG, "datasets": {"sample": {**sample, "compare": None}}})
    sample["main"]["method"] = "cam"
    check_config({**CONFIG, "datasets": {"sample": {**sample, "compare": None}}})


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("kind",), "adcam", "maps.kind: expected one of 'advcam', 'rib', 'getam', found 'adcam'"),
        (("steps",), 0, "maps.steps: "),
        (("stpes",), 3, "maps.stpes: unknown key; did you mean 'steps'?"),
    ],
)
def test_what_is_wrong_with_derived_maps_is_named(
    classifiers: dict[str, Any], keys: tuple[str, ...], value: Any, words: str
) -> None:
    put(classifiers, ("resnet50_advcam", "maps", *keys), value)
    assert words in refused(classifiers)


def test_gradient_descent_needs_a_momentum(classifiers: dict[str, Any]) -> None:
    training = classifiers["resnet50"]["training"]
    del training["momentum"]
    expected = "classifiers.resnet50.training.momentum: expected a number for optimizer sgd, found none"
    assert refused(classifiers) == expected
    training["optimizer"] = "adamw"
    assert valid({**CONFIG, "classifiers": classifiers})
