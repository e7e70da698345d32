"""The largest views that classifiers take of a data set's images, against the tokens that can be numbered."""

import copy
from typing import Any

import pytest

from tests.support.settings import CONFIG
from wsss.config.views import MAX_TOKENS, View, cells, excesses, largest_views

OWN = {"own": View(stride=16, scale=2.0)}


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


def test_of_the_main_chain_and_of_all_compared(config: dict[str, Any]) -> None:
    dataset = config["datasets"]["voc"]
    found = largest_views(config, dataset)
    compared = {entry.get("classifier") for entry in dataset["compare"]["systems"]}
    assert found["conformer_small"] == OWN["own"] and len(found) > 2
    assert set(found) <= {"conformer_small", *compared}
    assert "resnet50" in compared and "resnet50" not in found  # it has no attention
    dataset["compare"] = None
    assert list(largest_views(config, dataset)) == ["conformer_small"]


def test_apc_s_patches_have_no_views(config: dict[str, Any]) -> None:
    dataset = {"main": {"classifier": "apc", "method": "patches"}}
    assert largest_views(config, dataset) == {}


def test_cells_are_rounded_up_from_the_rounded_size() -> None:
    assert cells((30, 33), 16, 1.0) == 2 * 3
    assert cells((30, 33), 16, 0.5) == 1 * 1  # 15 x 16
    assert cells((1, 1), 16, 0.1) == 1


def test_the_limit_itself_is_taken() -> None:
    assert cells((2048, 2048), 16, 2.0) == MAX_TOKENS
    assert list(excesses([(2048, 2048), (6, 8)], OWN)) == []
    (excess,) = excesses([(6, 8), (2048, 2049), (2048, 2048)], OWN)
    assert excess.found == (
        f"images of 2049x2048 pixels have {257 * 256} tokens at scale 2.0, "
        "at most 65536 can be numbered (own)"
    )
    assert excess.fix == (
        "set the data set's long_side to 640, or to at most 2048; "
        "or take scales up to 1.9 in classifiers.own.views.scales"
    )


def test_each_classifier_is_judged_by_its_own_view() -> None:
    views = {**OWN, "fine": View(stride=8, scale=1.0), "coarse": View(stride=16, scale=1.0)}
    found = list(excesses([(2500, 2500)], views))
    assert ["(own)" in one.found or "(fine)" in one.found for one in found] == [True, True]


@pytest.mark.parametrize("size", [(3000, 4000), (2049, 2047), (5000, 900), (4097, 4097), (4096, 4096)])
def test_the_scale_that_is_offered_is_the_largest_tenth_that_fits(size: tuple[int, int]) -> None:
    (excess,) = excesses([size], OWN)
    tenths = round(10 * float(excess.fix.split()[-3]))
    assert cells(size, 16, tenths / 10) <= MAX_TOKENS < cells(size, 16, (tenths + 1) / 10)


@pytest.mark.parametrize("view", [View(stride=16, scale=2.0), View(stride=8, scale=1.5)])
def test_the_side_that_is_offered_fits_a_square(view: View) -> None:
    (excess,) = excesses([(5000, 5000)], {"own": view})
    side = int(excess.fix.split("at most ")[1].split(";")[0])
    assert list(excesses([(side, side)], {"own": view})) == []
    assert list(excesses([(side + 1, side + 1)], {"own": view}))


def test_of_no_images_nothing_is_said() -> None:
    assert list(excesses([], OWN)) == []
