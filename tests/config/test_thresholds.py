"""Thresholds in the configuration: numbers stay with the maps on which they were chosen."""

import copy
import re
from typing import Any

import pytest

from tests.support.settings import CONFIG, valid
from wsss.config.checks import check_config
from wsss.config.configuration import Configuration
from wsss.config.errors import ConfigError
from wsss.config.thresholds import map_kind, pseudo_settings, unsuited

FOLDER = {"kind": "folder", "inferences": ["single"]}


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


def refused(config: dict[str, Any], message: str) -> None:
    """Whether a configuration that the models take is refused with these words."""
    assert valid(config)
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(config)


def test_published_thresholds_are_for_plain_cams_alone(config: dict[str, Any]) -> None:
    refiners = config["refiners"]
    assert refiners["irn"]["maps"] == ["cam"] and refiners["irn_rule"]["maps"] is None
    same = ("network", "initial", "training", "walk")
    assert all(refiners["irn"][part] == refiners["irn_rule"][part] for part in same)
    for name in ("voc", "coco"):
        dataset = config["datasets"][name]
        rows = [system for system in dataset["compare"]["systems"] if "refiner" in system]
        trained = {row["refiner"] for row in rows} - {"none"}
        assert {"irn", "irn_rule"} < trained
        for row in rows:
            kind = map_kind(config, row["classifier"], row["method"])
            plain = kind == "cam"
            if row["refiner"] in trained - {"irn_rule"}:
                assert refiners[row["refiner"]]["maps"] == [kind]  # the paper's or the rival's own constants
            if row["refiner"] in ("none", "irn", "irn_rule"):
                cut = pseudo_settings(config, dataset, row["classifier"], row["method"], row["refiner"])
                rule = row["refiner"] == "irn_rule" or not plain
                assert cut == {"threshold": "half_maximum" if rule else 0.25, "crf": None}


def test_data_sets_without_published_thresholds_take_the_rule(config: dict[str, Any]) -> None:
    for name in ("cam", "adcam", "patches"):
        assert pseudo_settings(config, config["datasets"]["sample"], "conformer_nano", name, "none") == {
            "threshold": "half_maximum",
            "crf": None,
        }


def test_a_data_set_s_thresholds_are_of_unrefined_maps_by_kind_of_method(config: dict[str, Any]) -> None:
    voc = config["datasets"]["voc"]
    voc["thresholds"] = {"cam": 0.3, "adcam": "otsu"}
    before = copy.deepcopy(config)
    cuts = {
        (method, refiner): pseudo_settings(config, voc, "conformer_small", method, refiner)["threshold"]
        for method in ("cam", "adcam", "adcam_k20", "transcam")
        for refiner in ("none", "irn_rule")
    }
    assert {method: cuts[method, "none"] for method, _ in cuts} == {
        "cam": 0.3,
        "adcam": "otsu",
        "adcam_k20": "otsu",
        "transcam": "half_maximum",
    }
    assert {cuts[method, "irn_rule"] for method, _ in cuts} == {"half_maximum"}
    assert config == before
    assert valid(config)
    check_config(config)


def test_maps_that_are_derived_are_not_cut_at_the_threshold_of_plain_cams(config: dict[str, Any]) -> None:
    voc = config["datasets"]["voc"]
    assert voc["thresholds"] == {"cam": 0.25}
    cuts = {
        name: pseudo_settings(config, voc, name, "cam", "none")["threshold"]
        for name in ("resnet50", "resnet50_recam", "resnet50_advcam", "resnet50_rib", "vit_base_getam")
    }
    assert cuts == {
        "resnet50": 0.25,
        "resnet50_recam": 0.25,
        "resnet50_advcam": "half_maximum",
        "resnet50_rib": "half_maximum",
        "vit_base_getam": "half_maximum",
    }
    voc["thresholds"] = {"cam": 0.25, "advcam": 0.3}
    assert pseudo_settings(config, voc, "resnet50_advcam", "cam", "none")["threshold"] == 0.3


def test_thresholds_of_one_derived_map_are_refused_for_another(config: dict[str, Any]) -> None:
    assert unsuited(config, "resnet50_advcam", "cam", "irn_advcam") is None
    wrong = unsuited(config, "resnet50_advcam", "cam", "irn")
    assert wrong and "maps of kind advcam; take " in wrong and "irn_advcam" in wrong
    assert unsuited(config, "resnet50", "cam", "irn_advcam")


@pytest.mark.parametrize("threshold", [0.255, 1])
def test_a_data_set_s_threshold_is_a_step_of_the_sweep(config: dict[str, Any], threshold: float) -> None:
    config["datasets"]["voc"]["thresholds"] = {"cam": threshold}
    refused(config, "datasets.voc.thresholds.cam: expected a step of evaluation.thresholds, or a rule")


@pytest.mark.parametrize("thresholds", [{"cams": 0.25}, {"cam": "otsi"}, {"cam": 1.5}, [0.25]])
def test_the_models_know_a_data_set_s_thresholds(config: dict[str, Any], thresholds: Any) -> None:
    config["datasets"]["voc"]["thresholds"] = thresholds
    assert not valid(config)


def test_a_threshold_for_a_kind_of_method_that_there_is_not_is_refused(config: dict[str, Any]) -> None:
    config["datasets"]["voc"]["thresholds"] = {"cams": 0.25}
    with pytest.raises(ConfigError, match=r"datasets\.voc\.thresholds: expected kinds of maps \(adcam, "):
        check_config(config)


@pytest.mark.parametrize("maps", [None, "left out"])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pseudo": {"threshold": 0.25, "crf": None}}, "pseudo.threshold 0.25"),
        ({"pseudo": {"threshold": 0, "crf": None}}, "pseudo.threshold 0"),
        ({"labels": {"threshold": 0.3}}, "labels.threshold 0.3"),
        (
            {"labels": {"threshold": None, "foreground": 0.3, "background": 0.05}},
            "labels.foreground 0.3, labels.background 0.05",
        ),
    ],
)
def test_numbers_say_for_whose_maps_they_were_chosen(
    config: dict[str, Any], changes: dict[str, Any], named: str, maps: str | None
) -> None:
    refiner = config["refiners"]["own"]
    for part, values in changes.items():
        refiner[part] = {**refiner[part], **values}
    if maps:
        del refiner["maps"]
    refused(config, f"refiners.own.maps: expected the kinds of method for whose maps {named} was chosen")
    refiner["maps"] = ["cam", "adcam"]
    check_config(config)


def test_refiner_none_too(config: dict[str, Any]) -> None:
    config["refiners"]["none"]["pseudo"]["threshold"] = 0.25
    refused(config, "refiners.none.maps: expected the kinds of method")
    config["refiners"]["none"]["maps"] = ["cam"]
    refused(config, "systems.AD-CAM.refiner: the thresholds of 'none' were chosen for maps of cam")


@pytest.mark.parametrize("dataset", ["voc", "coco", "folder"])
def test_no_data_set_takes_numbers_for_other_maps(config: dict[str, Any], dataset: str) -> None:
    main = dict(config["datasets"]["voc"]["main"], inference="single")
    config["datasets"]["folder"] = {**FOLDER, "main": main}
    config = Configuration.model_validate(config).model_dump()
    assert valid(config)
    check_config(config)
    config["datasets"][dataset]["main"]["refiner"] = "irn"
    refused(config, f"datasets.{dataset}.main.refiner: the thresholds of 'irn' were chosen for maps of cam")
    config["refiners"]["irn"]["maps"] = None
    refused(config, "refiners.irn.maps: expected the kinds of method")


@pytest.mark.parametrize(
    ("changes", "only"), [({"foreground": 0.4}, "background"), ({"background": 0.2}, "foreground")]
)
def test_label_scores_whose_order_nobody_knows_are_refused(
    config: dict[str, Any], changes: dict[str, float], only: str
) -> None:
    config["refiners"]["irn_rule"] |= {"maps": ["adcam"]}
    config["refiners"]["irn_rule"]["labels"] |= changes
    refused(config, "irn_rule.labels: expected foreground and background both as numbers or both relative")
    with pytest.raises(ConfigError, match=f"found only {only} relative"):
        check_config(config)
