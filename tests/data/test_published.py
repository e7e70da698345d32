"""The papers' figures and the systems that they belong to."""

from typing import Any

import pytest

from wsss.data.published import _read, fits, published_others, published_system

STOPPED = {"kind": "conformer", "variant": "small", "stop_gradient": True, "mean": [0.5]}
METHOD = {"kind": "adcam", "neighbours": 50, "steps": 2, "soft": False, "direction": "gather"}
DIFFUSED = {"kind": "attention_diffusion", "direction": "gather"}
CROSSING = {**STOPPED, "stop_gradient": False}
VIT = {"model": "vit_base_patch16_384.augreg_in21k_ft_in1k", "blocks": [3, 6, 9, 12]}
ADCAM: dict[str, Any] = {
    "network": STOPPED,
    "method": METHOD,
    "refined": False,
    "affinity": "attention",
    "pixel_labels": False,
}
RESNET: dict[str, Any] = {
    **ADCAM,
    "network": {"kind": "cnn", "model": "resnet50.tv_in1k"},
    "method": {"kind": "cam"},
    "training": "tags",
}
APC: dict[str, Any] = {
    "single_stage": "apc",
    "network": VIT,
    "pooling": "adaptive_k",
    "alpha": 0.2,
    "beta": 0.1,
    "side": 960,
    "pixel_labels": False,
}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ADCAM, {"seed": {"miou": 0.635, "fp": 0.209, "fn": 0.166}}),
        ({**ADCAM, "method": {"kind": "cam"}}, {"seed": {"miou": 0.547, "fp": 0.295, "fn": 0.178}}),
        ({**ADCAM, "method": {"kind": "cam_attention"}}, {"seed": {"miou": 0.552, "fp": 0.274, "fn": 0.184}}),
        (
            {**ADCAM, "network": CROSSING, "method": {"kind": "transcam"}, "refined": True},
            {"segmentation": {"miou": 0.693}},
        ),
        (
            {**ADCAM, "method": {**METHOD, "direction": "hand_on"}},
            {"seed": {"miou": 0.635, "fp": 0.209, "fn": 0.166}},
        ),
        (
            {**ADCAM, "method": DIFFUSED},
            {"seed": {"miou": 0.546, "fp": 0.264, "fn": 0.203}},
        ),
        (
            {**ADCAM, "network": CROSSING},
            {"seed": {"miou": 0.517, "fp": 0.288, "fn": 0.208}},
        ),
        ({**ADCAM, "refined": True}, {"pseudo": {"miou": 0.717}, "segmentation": {"miou": 0.69}}),
        (
            {**ADCAM, "refined": True, "pixel_labels": True},
            {"pseudo": {"miou": 0.717}, "segmentation": {"miou": 0.707}},
        ),
        (RESNET, {"seed": {"miou": 0.488}}),
        ({**RESNET, "training": "recam"}, {"seed": {"miou": 0.548}}),
        ({**RESNET, "method": {"kind": "advcam"}}, {"seed": {"miou": 0.556}}),
        ({**RESNET, "method": {"kind": "rib"}}, {"seed": {"miou": 0.565}}),
        (APC, {"pseudo": {"miou": 0.746}, "segmentation": {"miou": 0.723}}),
        ({**APC, "pooling": "average"}, {"segmentation": {"miou": 0.617}}),
        ({**APC, "alpha": 0.0}, {"segmentation": {"miou": 0.703}}),
        ({**APC, "alpha": 0.25}, {"segmentation": {"miou": 0.718}}),
        ({**APC, "beta": 0.05}, {"segmentation": {"miou": 0.713}}),
        ({**APC, "side": 640}, {"segmentation": {"miou": 0.716}}),
    ],
)
def test_a_system_s_figures_on_voc(facts: dict[str, Any], expected: dict[str, Any]) -> None:
    entry = published_system("voc", facts)
    assert entry is not None
    assert {stage: entry[stage] for stage in entry if stage not in ("name", "source")} == expected


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("sample", ADCAM),
        ("coco", ADCAM),
        ("voc", {**ADCAM, "network": {**STOPPED, "variant": "nano"}}),
        ("voc", {**ADCAM, "method": {}}),
        ("voc", {**ADCAM, "method": {"kind": "tscam"}}),
        ("voc", {**ADCAM, "method": {"kind": "transcam"}, "refined": True}),  # its gradients cross
        ("voc", {**ADCAM, "method": {**METHOD, "direction": "literal"}}),
        ("voc", {**ADCAM, "method": {**METHOD, "soft": True}}),
        ("voc", {**ADCAM, "affinity": "features"}),
        ("voc", {**ADCAM, "network": CROSSING, "affinity": "features"}),
        ("voc", {**ADCAM, "method": {**DIFFUSED, "direction": "literal"}}),
        ("voc", {**ADCAM, "method": DIFFUSED, "affinity": "features"}),
        ("voc", {**ADCAM, "method": {**METHOD, "steps": 8}}),
        ("voc", {**APC, "network": {**VIT, "model": "vit_base_patch16_384.augreg_in1k"}}),
        ("voc", {**RESNET, "training": "recam", "method": {"kind": "advcam"}}),
        ("voc", {**RESNET, "method": {"kind": "getam"}}),
        ("voc", {**ADCAM, "method": {"kind": "rib"}}),
        ("voc", {**ADCAM, "training": "recam"}),
        ("voc", {**APC, "side": 384}),
        ("voc", {**APC, "single_stage": "another"}),
        ("voc", {**APC, "alpha": 0.02, "beta": 0.01}),
        ("voc", {}),
    ],
)
def test_no_figure_is_given_to_another_system(kind: str, facts: dict[str, Any]) -> None:
    assert published_system(kind, facts) is None


def test_apc_on_coco() -> None:
    entry = published_system("coco", APC)
    assert entry is not None
    assert entry["segmentation"] == {"miou": 0.457}


def test_a_condition_may_be_nested_and_an_unknown_fact_fits_none() -> None:
    assert fits({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3})
    assert not fits({"a": {"b": 1}}, {"a": 1})
    assert not fits({"a": None}, {})
    assert fits({"a": [1, 2]}, {"a": 2}) and not fits({"a": [1, 2]}, {"a": 3})


def test_no_two_entries_are_about_one_system() -> None:
    conditions = [(entry["data"], repr(entry["where"])) for entry in _read()["systems"]]
    assert len(set(conditions)) == len(conditions)


def test_others_by_data_set() -> None:
    voc = {row["name"]: row for row in published_others("voc")}
    assert (voc["MoRe"]["val"], voc["MoRe"]["test"]) == (0.764, 0.75)
    assert voc["WeCLIP+"]["val"] is None
    assert (voc["TransCAM"]["val"], voc["TransCAM"]["test"]) == (0.693, 0.696)
    coco = {row["name"]: row for row in published_others("coco")}
    assert coco["ExCEL"]["val"] == 0.503
    assert "AdvCAM" not in coco
    assert all("test" not in row for row in coco.values())
    assert published_others("sample") == []


def test_figures_that_tables_give_otherwise_say_whose_they_are() -> None:
    voc, coco = ({row["name"]: row for row in published_others(kind)} for kind in ("voc", "coco"))
    assert (voc["AFA"]["val"], voc["ToCo"]["val"], coco["ToCo"]["val"]) == (0.66, 0.711, 0.422)
    assert "63.8" in voc["AFA"]["source"] and "70.5" in voc["ToCo"]["source"]
    assert voc["DuPL"]["source"] is None  # said on the page
