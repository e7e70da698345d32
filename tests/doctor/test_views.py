"""Sizes of images times scales, against the tokens that a view may have."""

import copy
from typing import Any

import pytest

from tests.support.settings import CONFIG
from wsss.config import views
from wsss.doctor.data import Facts, check_views
from wsss.doctor.verdict import ERROR
from wsss.stages.classify import extract_maps


def facts(*known: tuple[int, int]) -> dict[str, Facts]:
    return {"voc": Facts({"train": 9}, (), 1.0, known)}


def alone() -> dict[str, Any]:
    """The configuration with VOC's main chain and nothing to compare it with."""
    config = copy.deepcopy(CONFIG)
    config["datasets"]["voc"]["compare"] = None
    return config


def test_photographs_of_12_megapixels_at_scale_2() -> None:
    (verdict,) = check_views(alone(), facts((375, 500), (3000, 4000)))
    # 8000 / 16 by 6000 / 16 tokens; 65536 * 16 * 16 pixels are 4096 * 4096, 1.18 times the sides.
    assert verdict.status == ERROR
    assert "images of 4000x3000 pixels have 187500 tokens at scale 2" in verdict.found
    assert "at most 65536 can be numbered (conformer_small)" in verdict.found
    assert verdict.fix.startswith("set the data set's long_side to 640, or to at most 2048; ")
    assert verdict.fix.endswith("or take scales up to 1.1 in classifiers.conformer_small.views.scales")


@pytest.mark.parametrize("fix", ["scales", "size", "no attention"])
def test_its_remedies_remedy_it(fix: str) -> None:
    config, known = alone(), facts((3000, 4000))
    if fix == "scales":
        config["classifiers"]["conformer_small"]["views"]["scales"] = [0.5, 1.0, 1.1]
    elif fix == "size":
        known = facts((1536, 2048))
    else:
        config["datasets"]["voc"]["main"]["classifier"] = "resnet50"
    assert check_views(config, known) == []


def test_nothing_is_known_of_sizes() -> None:
    assert check_views(CONFIG, facts()) == []


def test_the_limit_is_that_of_the_stage() -> None:
    assert views.MAX_TOKENS == extract_maps.MAX_TOKENS
