"""What is chosen for a data set, by its size and by whether there is a GPU."""

from itertools import product

import pytest

from tests.support.settings import CONFIG, ROOT
from wsss.config.checks import check_config
from wsss.config.reading import lay_over, read_mapping, resolved
from wsss.config.views import USUAL
from wsss.setup.choices import FEW, LARGE, MANY, SHARD, SMALL, Facts, beside, chain, reading, work


def facts(
    train: int = 300, held_back: int = 0, side: int = 400, scored: bool = False, gpu: bool = False
) -> Facts:
    return Facts(train, held_back, side, scored, gpu)


@pytest.mark.parametrize(("images", "shards"), [(1, 1), (SHARD, 1), (SHARD + 1, 2), (10**6, 999)])
def test_a_shard_has_so_many_images_at_most(images: int, shards: int) -> None:
    settings = work(facts(images, images)).settings
    assert (settings["shards"], settings["val_shards"]) == (shards, shards)


def test_a_cache_is_kept_of_few_images_alone() -> None:
    few, many = work(facts(5000)), work(facts(5001))
    assert "keep" not in few.settings and many.settings["keep"] == "maps"
    assert "no cache of so many images' attention" in many.reasons


def test_several_runs_where_a_gpu_makes_them_cheap_and_they_are_scored() -> None:
    assert work(facts(scored=True, gpu=True)).settings["runs"] == [0, 1, 2]
    for given in (facts(scored=True), facts(gpu=True)):
        assert work(given).settings["runs"] == [0]


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        (facts(), "own", "own"),
        (facts(FEW - 1), "own_few", "own"),
        (facts(MANY), "own", "own"),
        (facts(MANY, gpu=True), "own", "own_many"),
        (facts(side=SMALL - 1), "conformer_nano", "deeplab_nano"),
        (facts(FEW - 1, side=SMALL - 1), "conformer_nano_few", "deeplab_nano"),
        (facts(MANY, side=SMALL - 1, gpu=True), "conformer_nano", "deeplab_nano"),
    ],
)
def test_the_main_chain_follows_size_and_number(given: Facts, first: str, last: str) -> None:
    main = chain(given).settings["main"]
    assert isinstance(main, dict)
    assert (main["classifier"], main["segmenter"]) == (first, last)


@pytest.mark.parametrize(("longest", "read"), [(0, {}), (LARGE, {}), (LARGE + 1, {"long_side": USUAL})])
def test_large_pictures_are_read_smaller(longest: int, read: dict[str, int]) -> None:
    assert reading(Facts(300, 0, 400, False, False, longest)).settings == read


def test_every_choice_is_of_presets_that_there_are_and_fit_together() -> None:
    cases = product((10, 300, 5000), (0, 50), (64, 400), (False, True), (False, True), (500, 4000))
    for number, case in enumerate(cases):
        config = read_mapping(ROOT / "config.yaml")
        entry = {
            key: value
            for part in (reading, work, chain, beside)
            for key, value in part(Facts(*case)).settings.items()
        }
        lay_over(config, {"datasets": {f"case{number}": {"kind": "folder", **entry}}})
        check_config(resolved(config))


def test_few_images_are_seen_four_times_as_often() -> None:
    for section, name in (("classifiers", "own"), ("refiners", "irn_nano")):
        one, few = (CONFIG[section][variant] for variant in (name, f"{name}_few"))
        assert few == {**one, "training": {**one["training"], "epochs": 4 * one["training"]["epochs"]}}


def test_the_sample_s_classifier_learns_few_images_slower_not_longer() -> None:
    one, few = (CONFIG["classifiers"][name]["training"] for name in ("conformer_nano", "conformer_nano_few"))
    assert few == {
        **one,
        "vit_lr": pytest.approx(one["vit_lr"] / 5),
        "cnn_lr": pytest.approx(one["cnn_lr"] / 5),
    }
