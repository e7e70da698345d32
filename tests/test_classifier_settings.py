"""Classifiers in the configuration: what the schema and the checks refuse, and with which words."""

import copy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.settings import CONFIG
from wsss.classifier_settings import check_classifiers

ROOT = Path(__file__).parents[1]
SCHEMA = yaml.safe_load((ROOT / "rules" / "config.schema.yaml").read_text())
SEEN = {"supervision": "photographs", "pixel_labels": False}
PAIR = ("resnet50_dinov2", "network")


@pytest.fixture
def classifiers() -> dict[str, Any]:
    return copy.deepcopy(CONFIG["classifiers"])


def refusals(classifiers: dict[str, Any]) -> dict[str, str]:
    """The schema's words by the place that they are about."""
    errors = jsonschema.Draft202012Validator(SCHEMA).iter_errors({**CONFIG, "classifiers": classifiers})
    return {".".join(map(str, error.absolute_path)): error.message for error in errors}


def put(settings: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        settings = settings[key]
    settings[keys[-1]] = value


def test_the_configured_ones_fit(classifiers: dict[str, Any]) -> None:
    assert refusals(classifiers) == {} and check_classifiers(CONFIG) == []
    kinds = {variant["network"]["kind"] for variant in classifiers.values()}
    assert kinds == {"conformer", "cnn", "timm", "pair"}


@pytest.mark.parametrize(
    ("keys", "value", "place", "words"),
    [
        (("resnet50", "network", "kind"), "resnet50", "network.kind", "'resnet50' is not one of"),
        (("resnet50", "network", "output_stride"), 24, "network.output_stride", "24 is not one of"),
        (("resnet50", "network", "frozn"), [], "network", "'frozn' was unexpected"),
        (("resnet50", "training", "optimizer"), "adagrad", "training.optimizer", "not one of"),
        (("resnet50", "initial"), {"cnn": SEEN}, "initial", "is a required property"),
        ((*PAIR, "cnn", "learns"), True, "network.cnn", "'learns' was unexpected"),
        ((*PAIR, "vit", "learns"), 1, "network.vit.learns", "1 is not of type 'boolean'"),
        ((*PAIR, "vit", "stride"), 16, "network.vit", "'stride' was unexpected"),
        (("resnet50_dinov2", "initial"), SEEN, "initial", "is a required property"),
        (("conformer_small", "network", "token_head"), "all", "network.token_head", "'all' is not one of"),
    ],
)
def test_the_schema_names_what_is_wrong(
    classifiers: dict[str, Any], keys: tuple[str, ...], value: Any, place: str, words: str
) -> None:
    put(classifiers, keys, value)
    assert words in refusals(classifiers)[f"classifiers.{keys[0]}.{place}"]


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
    variant = {**copy.deepcopy(classifiers[name]), "training": dict(classifiers[name]["training"])}
    del variant["training"]["vit_lr"]
    if learns is not None:
        variant["network"]["vit"]["learns"] = learns
    found = refusals({**classifiers, "own": variant})
    place = "classifiers.own.training"
    assert found == ({place: "'vit_lr' is a required property"} if needed else {})


def test_gradient_descent_needs_a_momentum(classifiers: dict[str, Any]) -> None:
    training = {key: value for key, value in classifiers["resnet50"]["training"].items() if key != "momentum"}
    variant = {**classifiers["resnet50"], "training": training}
    found = refusals({**classifiers, "own": variant})
    assert found == {"classifiers.own.training": "'momentum' is a required property"}
    training["optimizer"] = "adamw"
    assert refusals({**classifiers, "own": variant}) == {}


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (
            (*PAIR, "cnn", "mean"),
            [0.5, 0.5, 0.5],
            "classifiers.resnet50_dinov2.network.cnn.mean: expected [0.485, 0.456, 0.406] as network.mean, "
            "found [0.5, 0.5, 0.5]; leave it out",
        ),
        ((*PAIR, "cnn", "std"), [0.229, 0.224, 0.225], None),
        (
            ("conformer_small", "initial"),
            {**SEEN, "timm": True},
            "classifiers.conformer_small.initial.timm: expected a file for a Conformer, which timm does not "
            "have, found true",
        ),
    ],
)
def test_what_no_schema_can_say(
    classifiers: dict[str, Any], keys: tuple[str, ...], value: Any, words: str | None
) -> None:
    put(classifiers, keys, value)
    assert check_classifiers({"classifiers": classifiers}) == ([words] if words else [])
