"""Names of timm's networks, known without importing timm."""

import copy
from typing import Any

import pytest
import timm

from tests.support.settings import CONFIG
from wsss.config.checks import check_config
from wsss.config.errors import ConfigError
from wsss.config.timm_names import check_timm_names, timm_names


def test_they_are_timm_s_own() -> None:
    assert set(timm.list_models()) <= timm_names()
    assert [name for name in timm_names() if not timm.is_model(name)] == []


@pytest.mark.parametrize(
    "name", ["resnet50", "resnet50.tv_in1k", "hf-hub:timm/resnet50.a1_in1k", "tf_efficientnet_b0_ns"]
)
def test_names_with_tags_of_the_hub_and_old_ones_are_known(name: str) -> None:
    assert (
        check_timm_names(
            {section: {} for section in ("classifiers", "refiners", "single_stage")} | segmenter(name)
        )
        == []
    )


def segmenter(name: str) -> dict[str, Any]:
    return {"segmenters": {"mine": {"network": {"backbone": {"model": name}}}}}


@pytest.mark.parametrize(
    ("section", "variant", "keys"),
    [
        ("segmenters", "deeplabv2", ("backbone",)),
        ("classifiers", "resnet50", ()),
        ("classifiers", "resnet50_dinov2", ("vit",)),
        ("refiners", "irn", ("backbone",)),
        ("single_stage", "apc", ()),
    ],
)
def test_an_unknown_network_is_named_by_its_key_with_the_nearest(
    section: str, variant: str, keys: tuple[str, ...]
) -> None:
    config = copy.deepcopy(CONFIG)
    network = config[section][variant]["network"]
    for key in keys:
        network = network[key]
    network["model"] = "resnet5O.tv_in1k"
    where = ".".join([section, variant, "network", *keys, "model"])
    with pytest.raises(ConfigError) as error:
        check_config(config)
    assert f"{where}: timm has no network 'resnet5O.tv_in1k'; did you mean 'resnet50'?" in str(error.value)
