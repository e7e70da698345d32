"""Whether the parts of the configuration fit together."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.settings import CONFIG, valid
from wsss.config.checks import check_config
from wsss.config.configuration import Configuration
from wsss.config.errors import ConfigError
from wsss.config.systems import asked_of, system_of
from wsss.single_stage.registry import SOURCES

ROOT = Path(__file__).parents[2]
VOC_SINGLE = ("datasets", "voc", "single_stage")
VOC_SYSTEMS = ("datasets", "voc", "compare", "systems")
SAMPLE = ("datasets", "sample", "compare")
SYSTEM = (*SAMPLE, "systems", 6)  # AD-CAM without refinement


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


@pytest.fixture
def mains(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with main chains alone, for tests that make other systems unfit."""
    for dataset in config["datasets"].values():
        dataset["compare"] = None
    return config


def test_the_configuration_is_valid(config: dict[str, Any]) -> None:
    assert Configuration.model_validate(config).model_dump() == config
    check_config(config)


def objects(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of all closed objects in the configuration; the arguments of timm's constructors are open."""
    if path[-1:] == ("arguments",):
        return []
    items = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else [])
    inner = [found for key, item in items for found in objects(item, (*path, key))]
    return [path, *inner] if isinstance(value, dict) else inner


@pytest.mark.parametrize("path", objects(CONFIG), ids=lambda path: ".".join(map(str, path)) or "top")
def test_an_unknown_key_is_refused_everywhere(config: dict[str, Any], path: tuple[str | int, ...]) -> None:
    value: Any = config
    for key in path:
        value = value[key]
    value["stpes"] = 2
    assert not valid(config)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("datasets", "voc", "main", "method"), "adcm", "datasets.voc.main.method: expected one of methods"),
        (("datasets", "voc", "inferences"), ["single"], "expected the main one, 'multi_crf', among"),
        (("datasets", "voc", "inferences"), ["single", "double"], "expected one of inferences"),
        (
            ("inferences", "multi"),
            CONFIG["inferences"]["single"],
            "datasets.voc.inferences: expected different settings, found the same for 'single' and 'multi'",
        ),
        (("inferences", "nano"), CONFIG["inferences"]["single"], None),
        (("datasets", "voc", "main", "classifier"), "resnet50", "needs attention"),
        (("classifiers", "conformer_small", "views", "cached_neighbours"), 20, "takes 50 neighbours"),
        (("datasets", "voc", "main", "method"), "adcam_soft", "needs similarities"),
        (("methods", "adcam", "kind"), "attention_diffusion", None),
        (
            ("methods", "attention_diffusion", "direction"),
            "hand_on",
            "takes the direction hand_on (methods.attention_diffusion.direction), classifier "
            "'conformer_small' stores gather; make views.attention_direction agree",
        ),
        (
            ("classifiers", "conformer_small", "views", "attention_direction"),
            "literal",
            "takes the direction gather (methods.attention_diffusion.direction)",
        ),
        (
            ("classifiers", "conformer_small_coupled", "views", "transcam"),
            False,
            "systems.TransCAM.method: 'transcam' needs maps that classifier 'conformer_small_coupled'",
        ),
        (
            ("classifiers", "conformer_small_tscam", "network", "token_head"),
            "class",
            "systems.TS-CAM.method: 'tscam' needs class maps of the transformer's tokens, which "
            "classifiers.conformer_small_tscam does not have; take a Conformer with network.token_head: pat",
        ),
        (("refiners", "irn", "pseudo", "threshold"), 0.255, "expected a step of evaluation.thresholds"),
        (("refiners", "irn", "pseudo", "threshold"), 1.0, "expected a step of evaluation.thresholds"),
        (("refiners", "irn", "pseudo", "threshold"), 0.99, None),
        (("refiners", "irn", "pseudo", "threshold"), "otsu_dataset", None),
        (
            ("datasets", "voc", "main", "refiner"),
            "irn",
            "datasets.voc.main.refiner: the thresholds of 'irn' were chosen for maps of cam "
            "(refiners.irn.maps), found method 'adcam' of 'conformer_small', which makes maps of kind "
            "adcam; take irn_rule",
        ),
        (
            ("datasets", "voc", "main", "refiner"),
            "irn_displacement",
            "adcam; take own or own_few or irn_nano_few or irn_rule or irn_nano",
        ),
        ((*SYSTEM, "refiner"), "irn", "systems.AD-CAM.refiner: the thresholds of 'irn' were chosen for maps"),
        (("refiners", "irn", "maps"), ["cam", "adcam"], None),
        (
            ("refiners", "irn", "labels", "threshold"),
            "otsu",
            "irn.labels.threshold: expected none, for neither",
        ),
        (
            ("refiners", "irn_rule", "labels", "threshold"),
            None,
            "irn_rule.labels.threshold: expected a number",
        ),
        (("refiners", "irn_rule", "labels", "threshold"), 0.333, "threshold 0.333 was chosen"),
        (
            ("refiners", "irn", "labels", "background"),
            0.35,
            "irn.labels.foreground: expected at least backgr",
        ),
        (("refiners", "none"), CONFIG["refiners"]["irn"], "expected a refiner without a network"),
        (("refiners", "irn"), CONFIG["refiners"]["none"], "expected labels, network, initial"),
        (("methods", "cam", "kind"), "tscam", "methods.cam: expected the plain class maps"),
        (("methods", "patches", "kind"), "cam", "methods.patches: expected the scores of single_stage's"),
        (
            ("datasets", "voc", "main", "classifier"),
            "apc",
            "voc.main.classifier: expected one of classifiers",
        ),
        (
            ("datasets", "voc", "main", "method"),
            "patches",
            "expected 'patches' with variants of single_stage, and only",
        ),
        (
            ("single_stage", "resnet50"),
            CONFIG["single_stage"]["apc"],
            "single_stage.resnet50: expected another name, a classifier has",
        ),
        (
            ("single_stage", "apc_plain", "training", "beta"),
            0,
            "voc.single_stage.ablation: expected beta above 0, for side_960_crf and side_960_crf_tags read "
            "the decoder, found 0 in 'apc_plain'",
        ),
        (
            ("single_stage_inferences", "side_800_crf", "side"),
            802,
            "voc.single_stage.main: expected a multiple of the 16 pixels of a patch of 'apc', found "
            "single_stage_inferences.side_800_crf.side 802",
        ),
        (
            ("single_stage", "apc_max", "training", "side"),
            385,
            "datasets.voc.single_stage.ablation: expected a multiple of the 16 pixels",
        ),
        # 'patch_size' of a hybrid counts cells of its convolutions: only the network itself knows the pixels
        (("single_stage", "apc_nano_max", "training", "side"), 97, None),
        (
            (*VOC_SINGLE, "main"),
            "resnet50",
            "datasets.voc.single_stage.main: expected one of single_stage (apc_",
        ),
        (
            (*VOC_SINGLE, "ablation"),
            ["apc", "acp"],
            "voc.single_stage.ablation: expected one of single_stage (apc_",
        ),
        (
            (*VOC_SINGLE, "inference"),
            "nano_144",
            "voc.single_stage.inferences: expected the main one, 'nano_144', among",
        ),
        (
            (*VOC_SINGLE, "inference"),
            "side_960_crf_tags",
            "voc.single_stage.inference: expected one without the image",
        ),
        (
            (*VOC_SINGLE, "inferences"),
            ["single"],
            "voc.single_stage.inferences: expected one of single_stage_inferences",
        ),
        (
            (*VOC_SINGLE, "pseudo"),
            ["single"],
            "voc.single_stage.pseudo: expected one of single_stage_inferences",
        ),
        (
            ("single_stage_inferences", "side_960"),
            CONFIG["single_stage_inferences"]["side_800_crf"],
            "found the same for",
        ),
        (
            ("datasets", "voc", "single_stage"),
            None,
            "compare.systems.APC: expected inferences for 'apc' in the data",
        ),
        (
            (*SYSTEM, "classifier"),
            "conformer",
            "systems.AD-CAM.classifier: expected one of classifiers or single_stage",
        ),
        (
            (*SYSTEM, "method"),
            "adcm",
            "datasets.sample.compare.systems.AD-CAM.method: expected one of methods",
        ),
        ((*SYSTEM, "refiner"), "irnn", "systems.AD-CAM.refiner: expected one of refiners"),
        ((*SYSTEM, "segmenter"), "deeplab", "systems.AD-CAM.segmenter: expected one of segmenters"),
        ((*SYSTEM, "segmenter"), None, None),
        ((*SYSTEM, "classifier"), "resnet50", "systems.AD-CAM.method: 'adcam_n020' needs attention, which"),
        ((*SYSTEM, "classifier"), "apc_nano", "systems.AD-CAM.method: 'adcam_n020': expected 'patches' with"),
        (
            (*VOC_SYSTEMS, -1, "inference"),
            "side_1121",
            "systems.APC side 1120.inference: expected one of ['side_640_crf', ",
        ),
        (
            (*VOC_SYSTEMS, -1, "inference"),
            "side_960_crf_tags",
            "systems.APC side 1120.inference: expected one without the image labels of val, found 'side_960",
        ),
        (
            (*VOC_SYSTEMS, -1, "single_stage"),
            "apc_max",
            "systems.APC side 1120.inference: expected one of ['side_960_crf'], as of 'apc_max', found",
        ),
        ((*SYSTEM, "name"), "CAM", "compare.systems: expected different names, found 'CAM' twice"),
        (
            ("datasets", "sample", "single_stage", "costs", 1, "name"),
            "and contrast",
            "single_stage.costs: expected different names, found 'and contrast' twice",
        ),
        (
            ("datasets", "sample", "single_stage", "costs", 0, "method"),
            "cam",
            "single_stage.costs.several stages.method: 'cam': expected 'patches' with variants of",
        ),
        ((*SAMPLE, "sensitivity"), ["adcam", "adcam_k9"], "compare.sensitivity: expected one of methods"),
        ((*SAMPLE, "sensitivity"), ["adcam_soft"], "compare.sensitivity.method: 'adcam_soft' needs"),
        ((*SAMPLE, "sensitivity"), [], None),
    ],
)
def test_parts_that_do_not_fit_are_named(
    config: dict[str, Any], keys: tuple[str | int, ...], value: Any, message: str | None
) -> None:
    *parents, last = keys
    parent: Any = config
    for key in parents:
        parent = parent[key]
    parent[last] = value
    if message is None:
        check_config(config)
        return
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(config)


def test_a_decoder_that_learns_nothing_may_be_there_where_none_reads_it(config: dict[str, Any]) -> None:
    config["single_stage"]["apc_nano_max"]["training"]["beta"] = 0
    config["datasets"]["sample"]["single_stage"]["ablation"].remove("apc_nano_max")
    with pytest.raises(ConfigError, match=r"systems\.APC max pooling\.single_stage: expected beta above 0"):
        check_config(config)
    for name in ("nano_144_crf", "nano_144_crf_tags"):  # the only ones of other variants than the main one
        config["single_stage_inferences"][name]["source"] = "patches"
    check_config(config)


@pytest.mark.parametrize("key", ["supervision", "pixel_labels"])
def test_what_initial_weights_have_seen_must_be_said(config: dict[str, Any], key: str) -> None:
    del config["classifiers"]["conformer_small"]["initial"][key]
    with pytest.raises(ValidationError, match=rf"initial\.one\.{key}\n  Field required"):
        Configuration.model_validate(config)


def test_all_findings_come_in_one_error(config: dict[str, Any]) -> None:
    config["datasets"]["voc"]["main"] |= {"classifier": "a", "segmenter": "b"}
    config["datasets"]["sample"]["main"]["method"] = "c"
    with pytest.raises(ConfigError) as error:
        check_config(config)
    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("datasets", "logs"),
        ("methods", "cams"),
        ("methods", "val"),
        ("segmenters", "irn"),
        ("classifiers", "truth"),
        ("single_stage", "truth"),
    ],
)
def test_names_of_the_results_own_folders_are_refused(
    config: dict[str, Any], section: str, name: str
) -> None:
    config[section][name] = next(iter(config[section].values()))
    with pytest.raises(ConfigError, match=f"{section}.{name}: expected another name"):
        check_config(config)


def test_an_overlay_can_replace_a_download_by_a_file(config: dict[str, Any]) -> None:
    initial = config["segmenters"]["deeplabv2"]["initial"]
    initial |= {"timm": False, "file": "weights/resnet101.pth", "sha256": None}
    Configuration.model_validate(config)
    initial["timm"] = True
    with pytest.raises(ValidationError):
        Configuration.model_validate(config)


def test_too_many_steps_of_attention_diffusion_are_refused(config: dict[str, Any]) -> None:
    config["methods"]["attention_diffusion"]["steps"] = 3
    config["datasets"]["voc"]["main"]["method"] = "attention_diffusion"
    with pytest.raises(ConfigError, match=r"takes 3 steps, classifier 'conformer_small' stores 2"):
        check_config(config)


@pytest.mark.parametrize("dataset", ["voc", "coco"])
@pytest.mark.parametrize(
    ("method", "cached", "message"),
    [
        ("adcam_n009", 64, "takes the fraction 0.09 (methods.adcam_n009.neighbours)"),
        ("adcam_n009", 0.05, "set views.cached_neighbours to 0.09 or more"),
        ("adcam_n009", {"at_least": 100, "fraction": 0.05}, "views.cached_neighbours to a fraction of 0.09"),
        (
            "adcam_k100",
            {"at_least": 99, "fraction": 0.5},
            "takes 100 neighbours, classifier 'conformer_small",
        ),
        (
            "adcam",
            0.5,
            "takes 50 neighbours (methods.adcam.neighbours), classifier 'conformer_small' stores the",
        ),
        ("adcam_n009", 0.09, None),
        ("adcam_n009", 0.2, None),
        ("adcam_n020_t4", {"at_least": 50, "fraction": 0.2}, None),
        ("adcam_k100", {"at_least": 100, "fraction": 0.2}, None),
        ("cam", 0.2, None),
    ],
)
def test_a_fraction_of_neighbours_needs_a_fraction_cached(
    mains: dict[str, Any], dataset: str, method: str, cached: Any, message: str | None
) -> None:
    config = mains
    config["classifiers"]["conformer_small"]["views"]["cached_neighbours"] = cached
    for name in ("voc", "coco"):
        config["datasets"][name]["main"]["method"] = method if name == dataset else "cam"
    Configuration.model_validate(config)
    if message is None:
        check_config(config)
        return
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        check_config(config)
    assert f"datasets.{dataset}.main.method: {method!r}" in str(error.value)


@pytest.mark.parametrize(
    "cached", [0, 1.5, -0.1, "all", {"at_least": 100}, {"at_least": 0.5, "fraction": 0.2}, {"fraction": 2}]
)
def test_neither_a_whole_number_nor_a_fraction_is_refused(config: dict[str, Any], cached: Any) -> None:
    config["classifiers"]["conformer_small"]["views"]["cached_neighbours"] = cached
    with pytest.raises(ValidationError):
        Configuration.model_validate(config)


@pytest.mark.parametrize(
    ("method", "steps", "refused"),
    [
        ("cam_attention", 0, True),
        ("transcam", 0, True),
        ("attention_diffusion", 2, True),
        ("adcam", 0, True),
        ("cam", 2, True),
        ("cam", 0, False),
    ],
)
def test_maps_coarser_than_the_tokens_are_refused(
    mains: dict[str, Any], method: str, steps: int, refused: bool
) -> None:
    config = mains
    config["classifiers"]["conformer_small"]["network"]["output_stride"] = 32
    config["classifiers"]["conformer_small"]["views"] |= {
        "attention_steps": steps,
        "transcam": method == "transcam",
    }
    for name in ("voc", "coco"):
        config["datasets"][name]["main"]["method"] = method
    if not refused:
        check_config(config)
        return
    with pytest.raises(ConfigError, match=r"datasets\.voc\.main\..*output_stride 32.*take output_stride 16"):
        check_config(config)


def test_coarse_maps_are_not_gathered_over_attention(mains: dict[str, Any]) -> None:
    small = mains["classifiers"]["conformer_small"]
    small["network"]["output_stride"], small["views"]["attention_steps"] = 32, 0
    for name in ("voc", "coco"):
        mains["datasets"][name]["main"]["method"] = "cam"
    with pytest.raises(ConfigError, match=r"conformer_small\.views\.transcam needs maps on the tokens' grid"):
        check_config(mains)


@pytest.mark.parametrize(
    ("affinity", "fits"),
    [
        ({"kind": "attention"}, True),
        ({"kind": "features", "beta": 1.2, "gamma": 3.0}, True),
        ({"kind": "features"}, False),
        ({"kind": "attention", "beta": 1.2}, False),
        ({"kind": "keys"}, False),
    ],
)
def test_an_affinity_has_the_settings_of_its_kind(
    config: dict[str, Any], affinity: dict[str, Any], fits: bool
) -> None:
    config["classifiers"]["conformer_small"]["views"]["affinity"] = affinity
    assert valid(config) == fits


def test_patches_of_an_apc_variant_can_go_through_the_chain(config: dict[str, Any]) -> None:
    config["datasets"]["sample"]["compare"]["systems"].append(
        {"name": "x", "classifier": "apc_nano", "method": "patches", "refiner": "irn_nano", "segmenter": None}
    )
    Configuration.model_validate(config)
    check_config(config)


@pytest.mark.parametrize(
    "system",
    [
        {"name": "x", "single_stage": "apc_nano", "classifier": "conformer_nano"},
        {"name": "x", "classifier": "conformer_nano", "method": "cam"},
        {
            "name": "x",
            "classifier": "conformer_nano",
            "method": "cam",
            "refiner": "none",
            "segmenter": None,
            "inference": "nano",
        },
        {"classifier": "conformer_nano", "method": "cam", "refiner": "none", "segmenter": None},
    ],
    ids=["both", "half", "chain with an inference", "nameless"],
)
def test_a_system_is_a_whole_chain_or_a_variant_of_apc(
    config: dict[str, Any], system: dict[str, Any]
) -> None:
    config["datasets"]["sample"]["compare"]["systems"] = [system]
    with pytest.raises(ValidationError):
        Configuration.model_validate(config)


@pytest.mark.parametrize("key", ["single_stage", "compare"])
def test_what_a_data_set_does_not_use_is_null_or_missing(mains: dict[str, Any], key: str) -> None:
    mains["datasets"]["voc"][key] = None
    Configuration.model_validate(mains)
    check_config(mains)
    del mains["datasets"]["voc"][key]
    Configuration.model_validate(mains)
    check_config(mains)


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("apc_nano_plain", {}, None),
        ("apc_nano", {}, "otherwise: expected other variants than the main one, found 'apc_nano'"),
        ("nano", {}, "otherwise: expected one of single_stage (apc_average"),
        (
            "apc_nano_plain",
            {"inference": "nano"},
            "apc_nano_plain.inference: expected one of single_stage_inf",
        ),
        (
            "apc_nano_plain",
            {"inference": "nano_144_crf_tags"},
            "plain.inference: expected one without the image",
        ),
        (
            "apc_nano_plain",
            {"pseudo": ["nano"]},
            "apc_nano_plain.pseudo: expected one of single_stage_inferences",
        ),
    ],
)
def test_a_variant_may_be_asked_otherwise(
    config: dict[str, Any], name: str, asked: dict[str, Any], message: str | None
) -> None:
    single = config["datasets"]["sample"]["single_stage"]
    single["otherwise"] = {name: {"inference": "nano_144", "pseudo": ["side_960_crf_tags"], **asked}}
    if message:
        with pytest.raises(ConfigError, match=re.escape(message)):
            check_config(config)
        return
    check_config(config)
    assert asked_of(name, single) == (["nano_144"], "nano_144", ["side_960_crf_tags"])
    assert asked_of("apc_nano_max", single) == (["nano_144_crf"], "nano_144_crf", ["nano_144_crf_tags"])
    system = system_of({"name": "x", "single_stage": name}, config["datasets"]["sample"])
    assert (system.inference, system.pseudo) == ("nano_144", "side_960_crf_tags")


def test_a_source_that_the_method_lacks_is_refused_where_it_is_asked_for(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "apc", ("patches",))
    with pytest.raises(ConfigError, match=r"single_stage\.main: expected source patches of 'apc_nano', of "):
        check_config(config)


def test_variants_of_apc_differ_in_what_their_name_says(config: dict[str, Any]) -> None:
    main = config["single_stage"]["apc"]

    def changes(name: str) -> dict[str, Any]:
        variant = config["single_stage"][name]
        assert {**variant, "training": None} == {**main, "training": None}
        return {key: value for key, value in variant["training"].items() if value != main["training"][key]}

    assert (main["training"]["alpha"], main["training"]["beta"]) == (0.2, 0.1)
    assert changes("apc_max_plain")["pooling"]["kind"] == "max" and changes("apc_max_plain")["alpha"] == 0
    assert changes("apc_plain") == {"alpha": 0}
    assert changes("apc_text_weights") == {"alpha": 0.02, "beta": 0.01}
    assert [changes(f"apc_alpha_{share}") for share in ("010", "015", "025")] == [
        {"alpha": 0.1},
        {"alpha": 0.15},
        {"alpha": 0.25},
    ]
    assert [changes(f"apc_beta_{share}") for share in ("005", "008", "012")] == [
        {"beta": 0.05},
        {"beta": 0.08},
        {"beta": 0.12},
    ]


def test_paths_of_a_system(config: dict[str, Any]) -> None:
    sample = config["datasets"]["sample"]
    systems = {entry["name"]: system_of(entry, sample) for entry in sample["compare"]["systems"]}
    chain, single, short = systems["AD-CAM + IRNet"], systems["APC"], systems["CAM x attention"]
    assert chain.maps == chain.scored == "conformer_nano/adcam_n020/irn_nano"
    assert chain.labels == "conformer_nano/adcam_n020/irn_nano/pseudo"
    assert chain.predictions == "conformer_nano/adcam_n020/irn_nano/deeplab_nano/val/nano_crf/masks"
    assert (single.maps, single.scored, single.segmentation) == (
        "apc_nano/patches/none",
        "apc_nano",
        "apc_nano",
    )
    assert single.labels == "apc_nano/train/nano_144_crf_tags/masks"
    assert single.predictions == "apc_nano/val/nano_144_crf/masks"
    assert [system.segments for system in (chain, single, short)] == [True, True, False]


@pytest.mark.parametrize(
    ("keys", "value", "fits"),
    [
        (("pseudo", "threshold"), "otsu_dataset", True),
        (("pseudo", "threshold"), "otsi", False),
        (("pseudo", "threshold"), 1.5, False),
        (("labels", "threshold"), "otsu_dataset", True),
        (("labels", "foreground"), 0.3, True),
        (("labels", "foreground"), {"below": 0.1}, False),
        (("labels", "background"), {"below": -0.1}, False),
        (("labels", "background"), {}, False),
        (("maps",), [], False),
        (("maps",), ["cam", "adcam"], True),
        (("maps",), ["cam", "adcam_k10"], False),
        (("walk", "normalise"), "mean", True),
        (("walk", "normalise"), "sum", False),
        (("walk", "long_side"), 512, True),
        (("training", "long_side"), 512, True),
        (("training", "long_side"), 0, False),
    ],
)
def test_the_models_know_thresholds_and_working_sizes(
    config: dict[str, Any], keys: tuple[str, ...], value: Any, fits: bool
) -> None:
    part = config["refiners"]["irn_rule"]
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    assert valid(config) == fits
