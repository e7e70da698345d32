"""Rules, configuration and planning: what Snakemake reads before anything runs."""

import ast
import contextlib
import copy
import importlib.util
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from PIL import Image
from snakemake.iocontainers import Namedlist

from tests.support.datasets import folder_set
from tests.support.planning import ROOT, rules, snakemake
from tests.support.settings import CONFIG
from wsss.artefacts.formats import read_manifest
from wsss.config.reading import read_config, read_mapping
from wsss.config.systems import System
from wsss.pretrained.files import PAIRED, starts
from wsss.pretrained.fit import Fits, remember
from wsss.workflow.asked import shard_names
from wsss.workflow.fingerprint import module_of
from wsss.workflow.plan import ConfigError, Plan
from wsss.workflow.predictor_plan import PredictorPlan
from wsss.workflow.single_stage_plan import SingleStagePlan
from wsss.workflow.trainings import TRAININGS

OVERLAYS = {
    "msrc21.yaml": [
        "results/msrc21/seg_miou.json",
        "results/msrc21/compare.html",
        "results/msrc21/apc/ablations.csv",
    ],
    "formats.yaml": ["results/voc_smoke/seg_miou.json", "results/coco128/seg_miou.json"],
    "tiny.yaml": [
        "results/sample/seg_miou.json",
        "results/sample/compare.html",
        "results/sample/apc/seg_miou.json",
        "results/sample/apc/ablations.csv",
    ],
}
SKELETON = ("output", "log", "benchmark", "conda", "resources", "params", "script")


# As little as passes for a file of weights of which planning remembers that it fits.
STAND_INS = {".pth": b"\x80", ".safetensors": b"\x02\0\0\0\0\0\0\0{}"}
TRAINED = ("classifiers", "refiners", "segmenters", "single_stage")


def put_weights(folder: Path, config: dict[str, Any]) -> Path:
    """Lay a stand-in for each file of initial weights that the configuration names, as seen from a folder."""
    folder.mkdir(exist_ok=True)
    variants = [(section, one) for section in TRAINED for one in config.get(section, {}).values()]
    trained = [(section, variant) for section, variant in variants if "initial" in variant]
    for file in {start.initial["file"] for _, variant in trained for start in starts(variant)}:
        if file and not file.startswith("package:"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(STAND_INS[Path(file).suffix])
    with contextlib.chdir(folder):
        for section, variant in trained:
            remember(section, variant)
    return folder


def without_digests(path: Path, config: dict[str, Any]) -> Path:
    """Write an overlay with which stand-ins pass for the files whose digests the configuration names."""
    overlay = {
        section: {name: {"initial": _unchecked(variant["initial"])} for name, variant in variants.items()}
        for section in TRAINED
        if (variants := {k: v for k, v in config.get(section, {}).items() if "initial" in v})
    }
    path.write_text(yaml.safe_dump(overlay))
    return path


def _unchecked(initial: dict[str, Any]) -> dict[str, Any]:
    """What an overlay sets to null: a file's digest, or those of a pair's files."""
    inner = {part: _unchecked(initial[part]) for part in PAIRED if part in initial}
    return {**inner, **({"sha256": None} if "file" in initial else {})}


@pytest.fixture(autouse=True)
def downloads_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning refuses weights of timm that neither the cache nor the network has; here nothing trains."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


@pytest.fixture
def plan(config: dict[str, Any]) -> Plan:
    return Plan(config)


# Rules


def names(rule: str, section: str) -> set[str]:
    lines = rules()[rule].get(section, [])
    return {match[1] for line in lines if (match := re.match(r" {8}(\w+)=", line))}


def run_arguments(stage: str) -> set[str]:
    tree = ast.parse((ROOT / module_of(stage).replace(".", "/")).with_suffix(".py").read_text())
    run = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")
    assert not run.args.args
    return {argument.arg for argument in run.args.kwonlyargs}


def test_every_stage_has_a_rule() -> None:
    """In a folder of stages/ that is named as the rule's file."""
    stages = {
        path.stem: path.parent.name
        for path in (ROOT / "wsss" / "stages").glob("*/*.py")
        if path.stem != "__init__"
    }
    assert stages == {
        rule: path.stem
        for path in (ROOT / "rules").glob("*.smk")
        for rule in re.findall(r"(?m)^rule (\w+):", path.read_text())
    }


@pytest.mark.parametrize("rule", sorted(rules()))
def test_a_rule_hands_its_stage_exactly_what_it_asks_for(rule: str) -> None:
    given = names(rule, "input") | names(rule, "output") | names(rule, "params")
    assert given - {"code", "initial_file", "tables"} == run_arguments(rule)


@pytest.mark.parametrize("rule", sorted(rules()))
def test_a_rule_has_the_skeleton(rule: str) -> None:
    sections = rules()[rule]
    assert set(SKELETON) <= set(sections)
    assert "gpu" in names(rule, "resources")
    digest = rf'(fingerprint|plan\.single\.code)\("{rule}"\)|plan\.classifiers\.(training|maps)_code'
    assert re.search(rf"code=({digest}),", "".join(sections["params"]))
    assert all(
        f'"results/{kind}/{rule}/' in sections[key][0]
        for key, kind in (("log", "logs"), ("benchmark", "benchmarks"))
    )
    assert sections["script"] == ['        "run_stage.py"']
    environment = re.search(r'"\.\./(envs/\w+\.yaml)"', sections["conda"][0])
    assert environment and (ROOT / environment[1]).is_file()


def test_rules_are_plain() -> None:
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert not re.search(r"\blambda\b|\brun:|^for |glob_wildcards|temp\(", text, re.MULTILINE)
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 60


def test_environments_declare_the_pins() -> None:
    pins = set((ROOT / "constraints.txt").read_text().split())
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        declared = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
        assert set(declared) <= pins, path.name


def test_snakemake_finds_nothing_to_lint() -> None:
    result = snakemake("--lint")
    assert result.returncode == 0, result.stdout


# Configurations that stop a run


def test_a_typo_stops_the_run(tmp_path: Path) -> None:
    overlay = tmp_path / "typo.yaml"
    overlay.write_text("methods: {adcam: {stpes: 3}}\n")
    result = snakemake("-n", "--configfile", overlay)
    assert result.returncode != 0
    said = (
        "methods.adcam.stpes: unknown key; did you mean 'steps'? known are normalise_views, kind, neighbours"
    )
    assert said in result.stdout and len(result.stdout.splitlines()) < 12


def test_a_chain_that_does_not_fit_stops_the_run(tmp_path: Path) -> None:
    overlay = tmp_path / "misfit.yaml"
    overlay.write_text("datasets: {sample: {main: {classifier: resnet50}}}\n")
    result = snakemake("-n", "--configfile", overlay)
    assert result.returncode != 0
    assert "datasets.sample.main.method: 'adcam_n020' needs attention" in result.stdout


# Planning


def test_shards_are_named_by_number() -> None:
    assert shard_names(3) == ["000of003", "001of003", "002of003"]


def test_patterns_match_the_configured_names_alone(plan: Plan) -> None:
    assert re.fullmatch(plan.datasets("voc"), "voc")
    assert not re.fullmatch(plan.datasets("voc"), "sample")
    assert not re.fullmatch(plan.datasets("folder"), "")
    assert not re.fullmatch(plan.walking_refiners(), "none")
    assert re.fullmatch(plan.walking_refiners(), "irn")
    assert re.fullmatch(plan.runs(), "2") and not re.fullmatch(plan.runs(), "3")
    assert not re.fullmatch(plan.pattern("methods"), "adcam/none")
    assert re.fullmatch(plan.pattern("classifiers", "single_stage"), "apc_nano")
    assert re.fullmatch(plan.pattern("classifiers", "single_stage"), "vit_tiny")
    assert re.fullmatch(plan.map_methods(), "cam") and not re.fullmatch(plan.map_methods(), "patches")


@pytest.mark.parametrize(
    ("folder", "predicts"),
    [
        ("conformer_small/adcam/irn/deeplabv2", True),
        ("apc_max/patches/irn/deeplabv2", True),
        ("apc_max", True),
        ("truth/deeplabv2", True),
        ("truth", False),
        ("truth/irn/deeplabv2", False),
        ("conformer_small", False),
        ("apc_max/patches/irn", False),
        ("apc_max/val", False),
        ("apc_maxi", False),
    ],
)
def test_masks_are_predicted_by_a_chain_or_by_apc(plan: Plan, folder: str, predicts: bool) -> None:
    assert bool(re.fullmatch(plan.predictors(), folder)) == predicts


def test_a_segmentation_network_is_trained_on_a_chain_s_labels_or_on_masks(plan: Plan) -> None:
    run = SimpleNamespace(dataset="voc", run="1", labeller="conformer_small/adcam/irn")
    first = "results/voc/run1"
    assert plan.training_labels(run) == "run1/conformer_small/adcam/irn/pseudo"
    assert plan.labeller_weights(run) == f"{first}/conformer_small/weights.safetensors"
    assert plan.labeller_irn_weights(run) == f"{first}/conformer_small/adcam/irn/irn/weights.safetensors"
    run.labeller = "resnet50/cam/none"
    assert plan.labeller_irn_weights(run) == []
    run.labeller = "truth"
    assert (plan.training_labels(run), plan.labeller_weights(run), plan.labeller_irn_weights(run)) == (
        "truth",
        [],
        [],
    )


def test_how_work_is_cut_is_no_part_of_a_data_set(plan: Plan) -> None:
    settings = plan.data_settings(SimpleNamespace(dataset="sample"))
    assert settings == {
        "kind": "sample",
        "seed": 0,
        "train": 320,
        "val": 60,
        "test": 0,
        "side": [64, 96],
        "allow_empty_classes": False,
    }
    coco = plan.data_settings(SimpleNamespace(dataset="coco"))
    assert set(coco) == {"kind", "root", "splits", "allow_empty_classes", "largest_image"}
    # A raised limit draws no mask anew.
    assert set(plan.source_settings(SimpleNamespace(dataset="coco"))) == {*coco} - {"largest_image"}


def test_only_pictures_of_one_s_own_may_be_too_large(config: dict[str, Any]) -> None:
    config["datasets"]["pets"] = {**config["datasets"]["voc"], "kind": "folder", "compare": None}
    plan = Plan(config)
    found = plan.largest_views(SimpleNamespace(dataset="pets"))
    assert found == {"conformer_small": {"stride": 16, "scale": 2.0}}
    assert plan.largest_views(SimpleNamespace(dataset="voc")) == {}


@pytest.mark.parametrize(
    ("dataset", "source", "gpus", "threads"),
    [
        ("sample", "results/sample/source", 0, (1, 1)),
        ("voc", [], 1, (8, 4)),
        ("coco", "results/coco/source", 1, (8, 4)),
    ],
)
def test_the_kind_of_data_set_decides(
    plan: Plan, dataset: str, source: str | list[str], gpus: int, threads: tuple[int, int]
) -> None:
    wildcards = SimpleNamespace(dataset=dataset)
    assert plan.source(wildcards) == source
    assert plan.gpus(wildcards) == gpus
    assert (plan.training_threads("train_single_stage")(wildcards), plan.shard_threads(wildcards)) == threads


VARIANTS = {"classifier": "conformer_small", "refiner": "irn", "segmenter": "deeplabv2", "single": "apc"}


def test_a_training_has_the_gpus_that_the_configuration_gives_it(config: dict[str, Any]) -> None:
    config["execution"] = {"gpus": {"train_single_stage": 4, "train_segmenter": 5}}
    plan, voc = Plan(config), SimpleNamespace(dataset="voc", **VARIANTS)
    found = {rule: (plan.training_gpus(rule)(voc), plan.training_threads(rule)(voc)) for rule in TRAININGS}
    assert found == {
        "train_classifier": (1, 8),
        "train_irn": (1, 8),
        "train_segmenter": (5, 40),
        "train_single_stage": (4, 32),
    }
    sample = SimpleNamespace(dataset="sample", single="apc_nano")
    assert (
        plan.training_gpus("train_single_stage")(sample),
        plan.training_threads("train_single_stage")(sample),
    ) == (0, 1)


@pytest.mark.parametrize("rule", TRAININGS)
def test_gpus_that_cannot_share_a_batch_are_refused(
    config: dict[str, Any], rule: str, quoted: Callable[[str], None]
) -> None:
    config["execution"] = {"gpus": {rule: 7}}
    section, wildcard = TRAININGS[rule]
    variant = f"{section}.{VARIANTS[wildcard]}.training.batch"
    with pytest.raises(ConfigError, match=rf"divisor of {variant}, which is \d+, found 7") as refused:
        Plan(config).training_gpus(rule)(SimpleNamespace(dataset="voc", **VARIANTS))
    quoted(str(refused.value))


def test_where_jobs_run_is_no_parameter_of_a_result() -> None:
    """So other GPUs rerun nothing."""
    params = "".join("".join(sections["params"]) for sections in rules().values())
    plain = re.findall(r"plan\.(\w+)[,)\n]", params)
    parts = {"predictor": PredictorPlan, "single": SingleStagePlan}
    named = re.findall(rf"plan\.({'|'.join(parts)})\.(\w+)", params)
    functions = [getattr(Plan, name) for name in plain] + [getattr(parts[part], name) for part, name in named]
    asked = "".join(map(inspect.getsource, functions))
    assert (
        "def seed" in asked and "def inference" in asked and not re.search("execution|_gpus", params + asked)
    )


def test_the_main_chain(config: dict[str, Any], plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc")
    assert [chain.refiner for chain in plan.main_walking(wildcards)] == ["irn_rule"]
    assert plan.main_weights(wildcards) == (
        "results/voc/run0/conformer_small/adcam/irn_rule/deeplabv2/weights.safetensors"
    )
    ways = ["single", "single_crf", "reference", "reference_crf", "multi", "multi_crf"]
    assert list(plan.inference_settings(wildcards)) == ways
    config["datasets"]["voc"]["main"]["refiner"] = "none"
    assert Plan(config).main_walking(wildcards) == []


def test_irnet_s_weights_are_those_of_a_refiner_that_trains_one(plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc", run="1", classifier="vit_tiny", method="cam", refiner="irn")
    assert plan.irn_weights(wildcards) == "results/voc/run1/vit_tiny/cam/irn/irn/weights.safetensors"
    wildcards.refiner = "none"
    assert plan.irn_weights(wildcards) == []


def test_a_data_set_s_threshold_is_a_file_that_labels_wait_for(config: dict[str, Any]) -> None:
    wildcards = SimpleNamespace(
        dataset="voc", run="1", classifier="vit_tiny", method="adcam", refiner="irn_rule"
    )
    plan = Plan(config)
    assert plan.pseudo_threshold(wildcards) == plan.label_threshold(wildcards) == []
    assert not re.fullmatch(plan.threshold_rules(), "otsu_dataset")
    config["refiners"]["irn_rule"]["pseudo"] = {"threshold": "otsu_dataset", "crf": None}
    run = "results/voc/run1/vit_tiny/adcam"
    assert plan.pseudo_threshold(wildcards) == f"{run}/irn_rule/thresholds/otsu_dataset.json"
    assert plan.label_threshold(wildcards) == []
    config["refiners"]["irn_rule"]["labels"]["threshold"] = "otsu_dataset"
    assert plan.label_threshold(wildcards) == f"{run}/none/thresholds/otsu_dataset.json"
    assert re.fullmatch(plan.threshold_rules(), "otsu_dataset")
    assert not re.fullmatch(plan.threshold_rules(), "otsu")


def test_unrefined_maps_are_cut_and_scored_at_the_data_set_s_threshold(config: dict[str, Any]) -> None:
    chain = {"run": "1", "classifier": "resnet50", "method": "cam", "refiner": "none"}
    voc, sample = (SimpleNamespace(dataset=name, **chain) for name in ("voc", "sample"))
    plan = Plan(config)
    assert plan.pseudo_settings(voc) == {"threshold": 0.25, "crf": None}
    assert plan.configured_threshold(voc) == 0.25
    assert plan.configured_threshold(sample) == plan.pseudo_settings(sample)["threshold"] == "half_maximum"
    voc.method = "adcam"
    assert plan.configured_threshold(voc) == "half_maximum"
    voc.method, voc.refiner = "cam", "irn_rule"
    assert plan.configured_threshold(voc) == "half_maximum"
    asked = {rule: "".join(rules()[rule]["params"]) for rule in ("make_pseudo_labels", "evaluate_pseudo")}
    assert all("settings=plan.pseudo_settings" in text for text in asked.values())
    assert "configured_threshold=plan.configured_threshold" in "".join(rules()["evaluate_seeds"]["params"])


def test_a_data_set_s_threshold_may_be_found_by_a_rule_on_all_images(config: dict[str, Any]) -> None:
    config["datasets"]["voc"]["thresholds"] = {"cam": "otsu_dataset"}
    plan = Plan(config)
    chain = {"run": "1", "classifier": "resnet50", "method": "cam", "refiner": "none"}
    file = "results/voc/run1/resnet50/cam/none/thresholds/otsu_dataset.json"
    assert plan.pseudo_threshold(SimpleNamespace(dataset="voc", **chain)) == file
    assert plan.pseudo_threshold(SimpleNamespace(dataset="coco", **chain)) == []
    assert re.fullmatch(plan.threshold_rules(), "otsu_dataset")


def test_a_chain_asked_for_by_its_path_takes_no_thresholds_of_other_maps(plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc", run="1", classifier="vit_tiny", method="adcam", refiner="irn")
    for asked in (plan.pseudo_threshold, plan.label_threshold):
        with pytest.raises(ConfigError, match=r"refiners\.irn: the thresholds of 'irn' .* take irn_rule"):
            asked(wildcards)
    wildcards.method = "cam"
    assert plan.label_threshold(wildcards) == []


def test_initial_weights_of_the_user_s_own_are_files_that_training_waits_for(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Fits, "misfit", lambda *variant: None)
    (tmp_path / "weights").mkdir()
    for name in ("Conformer_small_patch16.pth", "resnet101.pth", "cnn.pth", "vit.pth"):
        (tmp_path / "weights" / name).write_bytes(STAND_INS[".pth"])
    (tmp_path / "weights/vit_base.safetensors").write_bytes(STAND_INS[".safetensors"])
    config["segmenters"]["deeplabv2"]["initial"]["file"] = "weights/resnet101.pth"
    config["single_stage"]["apc"]["initial"] = {"file": "weights/vit_base.safetensors"}
    plan = Plan(config)
    run = {"dataset": "voc", "run": "0", "method": "cam", "labeller": "truth"}
    chain = {"classifier": "conformer_small", "refiner": "irn", "segmenter": "deeplabv2"}
    wildcards = SimpleNamespace(**run, **chain)
    assert plan.classifier_file(wildcards) == ["weights/Conformer_small_patch16.pth"]
    assert plan.irn_file(wildcards) == []  # timm's own
    assert plan.segmenter_file(wildcards) == ["weights/resnet101.pth"]
    assert plan.single_stage_file(SimpleNamespace(**run, single="apc")) == ["weights/vit_base.safetensors"]
    assert plan.single_stage_file(SimpleNamespace(**run, single="apc_nano")) == []  # shipped
    both = {part: {"file": f"weights/{part}.pth"} for part in ("cnn", "vit")}
    config["classifiers"]["resnet50_dinov2"]["initial"] = both
    pair = SimpleNamespace(**run, classifier="resnet50_dinov2")
    assert plan.classifier_file(pair) == ["weights/cnn.pth", "weights/vit.pth"]
    both["vit"] = {"file": "package:pretrained/vit_nano.safetensors"}
    assert plan.classifier_file(pair) == ["weights/cnn.pth"]  # the other is shipped
    chain = {"classifier": "conformer_nano", "refiner": "irn_nano", "segmenter": "deeplab_nano"}
    shipped = SimpleNamespace(**run, **chain)
    assert plan.classifier_file(shipped) == plan.irn_file(shipped) == plan.segmenter_file(shipped) == []


def test_map_settings_say_what_made_the_maps(plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc", classifier="conformer_small", method="adcam", refiner="none")
    settings = plan.map_settings(wildcards)
    assert settings["method"]["neighbours"] == 50
    assert settings["refiner"] == {"name": "none", "walk": None}


def test_the_splits_are_cut_each_for_itself(plan: Plan) -> None:
    assert len(plan.shards(SimpleNamespace(dataset="voc"))) == 48
    assert len(plan.val_shards(SimpleNamespace(dataset="voc"))) == 8
    scored = SimpleNamespace(dataset="voc", score="pseudo")
    assert (plan.single.split(scored), len(plan.single.parts(scored))) == ("train", 4)
    scored.score = "seg"
    assert (plan.single.split(scored), len(plan.single.parts(scored))) == ("val", 1)


@pytest.mark.parametrize(("shards", "parts"), [(1, 1), (12, 1), (13, 2), (48, 4), (96, 8), (999, 84)])
def test_each_shard_is_counted_once(config: dict[str, Any], shards: int, parts: int) -> None:
    config["datasets"]["voc"]["shards"] = shards
    plan, asked = Plan(config), SimpleNamespace(dataset="voc", split="train")
    names = plan.train_parts(asked)
    counted = [plan.counted(SimpleNamespace(**vars(asked), part=part)) for part in names]
    assert len(names) == parts and max(map(len, counted)) <= 12 <= max(12, min(map(len, counted)) + 11)
    assert sorted(shard for one in counted for shard in one) == plan.shards(asked)


def test_only_the_main_variant_of_apc_predicts_in_several_ways(plan: Plan) -> None:
    scored = SimpleNamespace(dataset="voc", single="apc", score="seg")
    assert [settings["side"] for settings in plan.single.inference_settings(scored).values()] == [
        640,
        800,
        960,
        960,
        960,
        1120,
    ]
    assert plan.single.inference(scored) == "side_960_crf"
    scored.single = "apc_max"
    assert plan.single.inferences(scored) == ["side_960_crf"]
    scored.score = "pseudo"
    assert plan.single.inferences(scored) == [plan.single.inference(scored)] == ["side_960_crf_tags"]


def test_ablations_say_how_each_variant_is_trained(plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="sample")
    training = plan.single.ablation_settings(wildcards)
    assert list(training) == plan.single.ablation(wildcards)
    assert training["apc_nano_max"]["training"]["pooling"]["kind"] == "max"
    assert plan.single.main(wildcards) in training


def test_every_network_of_the_systems_is_named_once(plan: Plan) -> None:
    networks = plan.compared_networks(SimpleNamespace(dataset="sample"))
    assert len(networks) == len(set(networks)) == 5 + 5 + 2 + 2  # classifiers, IRNets, DeepLabs, APCs
    assert "conformer_nano/cam_attention/irn_nano/irn" in networks
    assert "conformer_nano/adcam_n020/irn_nano/deeplab_nano" in networks
    assert "apc_nano_max" in networks
    assert not any(network.endswith(("none/irn", "None")) for network in networks)


def test_a_system_says_whose_weights_its_classifier_has(config: dict[str, Any]) -> None:
    nano = config["classifiers"]["conformer_nano"]
    config["classifiers"]["shared"] = {**nano, "weights_of": "conformer_nano"}
    systems = config["datasets"]["sample"]["compare"]["systems"]
    systems.insert(1, {**systems[0], "name": "shared", "classifier": "shared"})
    plan, wildcards = Plan(config), SimpleNamespace(dataset="sample")
    first, shared, *_ = plan.systems(wildcards)
    assert (first.trained, shared.trained) == (None, "conformer_nano")
    assert first.first_weights == shared.first_weights == "conformer_nano"
    assert not {"shared", None} & set(plan.compared_networks(wildcards))
    labels = SimpleNamespace(dataset="sample", run="0", labeller="shared/cam/none")
    assert plan.labeller_weights(labels) == "results/sample/run0/conformer_nano/weights.safetensors"
    config["datasets"]["sample"]["main"]["classifier"] = "shared"
    ancestors = PredictorPlan(config).ancestors(SimpleNamespace(dataset="sample", stage=""))
    assert ancestors[0] == "results/sample/run0/conformer_nano/weights.safetensors"


def test_systems_reach_a_stage_as_fields(plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc")
    fields = plan.system_settings(wildcards)
    assert [System(**system) for system in fields] == plan.systems(wildcards)
    assert fields[-1]["single"] == fields[-1]["classifier"] == "apc"
    assert fields[-1]["inference"] == "side_1120_crf"
    assert fields[0]["single"] is None and fields[0]["inference"] == "multi_crf"


def test_what_a_data_set_leaves_out_cannot_be_planned(config: dict[str, Any]) -> None:
    config["datasets"]["voc"] |= {"single_stage": None, "compare": None}
    plan, wildcards = Plan(config), SimpleNamespace(dataset="voc")
    with pytest.raises(ConfigError, match=r"datasets\.voc\.compare: expected settings, found none"):
        plan.systems(wildcards)
    with pytest.raises(ConfigError, match=r"datasets\.voc\.single_stage: expected settings, found none"):
        plan.single.main(wildcards)


# Dry runs


def jobs(place: Path, *arguments: str | Path) -> dict[str, int]:
    """How many jobs of each rule a dry run plans, which must succeed."""
    result = snakemake("-n", "--quiet", "rules", "--directory", place, *arguments)
    assert result.returncode == 0, result.stdout
    table = result.stdout.split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"(?m)^(\w+) +(\d+)$", table)}


@pytest.fixture
def fewer(tmp_path: Path) -> Path:
    """An overlay with the same rules in a tenth of the time: two runs, three shards of train, two of val."""
    path = tmp_path / "fewer_shards.yaml"
    cut = "{shards: 3, val_shards: 2, runs: [0, 1]}"
    path.write_text(f"datasets: {{voc: {cut}, coco: {cut}}}\n")
    return path


def test_dry_run_of_the_sample_s_comparison(tmp_path: Path) -> None:
    planned = jobs(tmp_path, "--", "results/sample/compare.html")
    derived, apcs, methods, sweeps, irns, segmenters = 3, 2, 10, 5, 5, 2
    labelled = methods + irns
    assert planned == {
        "generate_sample": 1,
        "prepare_manifest": 1,
        "select_training": 1,
        "train_classifier": 5,
        "extract_maps": 4,  # the transformer that is trained gives derived maps alone
        "derive_maps": derived,
        "diffuse_cams": methods + sweeps,
        "make_irn_labels": irns,
        "train_irn": irns,
        "walk_cams": irns,
        "make_pseudo_labels": labelled,
        "count_pseudo": labelled,
        "evaluate_pseudo": labelled,
        "train_segmenter": segmenters,
        "predict_masks": 2 * segmenters,
        "evaluate_segmentation": segmenters,
        "train_single_stage": apcs,
        "extract_patch_maps": apcs,
        "predict_single_stage_masks": apcs + apcs + 1,  # of train and of val, the main variant's twice
        "count_predictions": 2 * segmenters + apcs + apcs + 1,
        "evaluate_single_stage": 2 * apcs,
        "count_seeds": labelled + sweeps + apcs,
        "evaluate_seeds": labelled + sweeps + apcs,
        "compare": 1,
        "draw_comparison": 1,
    }


def test_dry_run_of_an_upper_bound_trains_nothing_else(tmp_path: Path) -> None:
    assert jobs(tmp_path, "--", "results/sample/run0/truth/deeplab_nano/seg_miou.json") == {
        "generate_sample": 1,
        "prepare_manifest": 1,
        "select_training": 1,
        "copy_masks": 1,
        "train_segmenter": 1,
        "predict_masks": 2,
        "count_predictions": 2,
        "evaluate_segmentation": 1,
    }


def test_a_classifier_that_goes_on_from_another_waits_for_it(tmp_path: Path, fewer: Path) -> None:
    target = "results/voc/run0/resnet50_recam/weights.safetensors"
    planned = jobs(put_weights(tmp_path / "place", CONFIG), "--configfile", fewer, "--", target)
    assert planned == {"prepare_manifest": 1, "select_training": 1, "train_classifier": 2}


def test_a_classifier_with_another_s_weights_is_not_trained(tmp_path: Path) -> None:
    """Not for its maps, their scores, or a network that its labels train."""
    overlay = tmp_path / "shared.yaml"
    overlay.write_text(
        "classifiers: {shared: {extends: conformer_nano, weights_of: conformer_nano, views.scales: [1.0]}}"
    )
    targets = [
        *(f"results/sample/run0/{name}/cam/none/seed_miou.json" for name in ("shared", "conformer_nano")),
        "results/sample/run0/shared/cam/none/pseudo_miou.json",
        "results/sample/run0/shared/cam/none/deeplab_nano/seg_miou.json",
    ]
    planned = jobs(tmp_path, "--configfile", overlay, "--", *targets)
    assert (planned["train_classifier"], planned["extract_maps"]) == (1, 2)
    untrained = "results/sample/run0/shared/weights.safetensors"
    refused = snakemake("-n", "--directory", tmp_path, "--configfile", overlay, "--", untrained)
    assert "MissingRuleException" in refused.stdout


def test_dry_run_of_apc_trains_no_classifier(tmp_path: Path, fewer: Path) -> None:
    planned = jobs(tmp_path, "--configfile", fewer, "--", "results/voc/apc/seg_miou.json")
    seeds = 2
    assert planned == {
        "prepare_manifest": 1,
        "select_training": 1,
        "train_single_stage": seeds,
        "extract_patch_maps": 3 * seeds,
        "count_seeds": seeds,
        "evaluate_seeds": seeds,
        "predict_single_stage_masks": (3 + 6 * 2) * seeds,
        "count_predictions": (1 + 6) * seeds,
        "evaluate_single_stage": 2 * seeds,
        "summarise_single_stage": 1,
    }


def test_dry_run_of_the_ablations(tmp_path: Path, fewer: Path) -> None:
    planned = jobs(tmp_path, "--configfile", fewer, "--", "results/voc/apc/ablations.csv")
    runs = 21 * 2
    assert planned == {
        "prepare_manifest": 1,
        "select_training": 1,
        "train_single_stage": runs,
        "predict_single_stage_masks": 3 * runs + 2 * runs + 5 * 2 * 2,  # the main variant's five further ways
        "count_predictions": runs + runs + 5 * 2,
        "evaluate_single_stage": 2 * runs,
        "tabulate_ablations": 1,
    }


def test_dry_run_of_an_upper_bound_among_the_systems(tmp_path: Path) -> None:
    """It makes neither maps nor pseudo labels, and no network but the one for segmentation."""
    overlay = tmp_path / "bound.yaml"
    systems = [{"name": "bound", "truth": True}, {"name": "APC", "single_stage": "apc_nano"}]
    overlay.write_text(
        yaml.safe_dump({"datasets": {"sample": {"compare": {"systems": systems, "sensitivity": []}}}})
    )
    planned = jobs(tmp_path, "--configfile", overlay, "--", "results/sample/compare.html")
    assert (planned["copy_masks"], planned["train_segmenter"], planned["train_single_stage"]) == (1, 1, 1)
    assert not {"train_classifier", "make_pseudo_labels", "train_irn"} & set(planned)


def test_dry_run_of_the_costs(tmp_path: Path, fewer: Path) -> None:
    """Table 5 of APC: three single stages beside patches that teach a segmentation network."""
    place = put_weights(tmp_path / "place", CONFIG)
    planned = jobs(place, "--configfile", fewer, "--", "results/voc/apc/cost.csv")
    assert (planned["train_single_stage"], planned["train_segmenter"]) == (4 * 2, 2)
    assert (planned["evaluate_single_stage"], planned["evaluate_segmentation"]) == (3 * 2, 2)
    assert planned["tabulate_costs"] == 1


def test_costs_of_no_system_are_refused(tmp_path: Path) -> None:
    overlay = tmp_path / "none.yaml"
    overlay.write_text("datasets: {sample: {single_stage: {costs: []}}}\n")
    result = snakemake("-n", "--configfile", overlay, "--", "results/sample/apc/cost.csv")
    assert result.returncode != 0
    assert "datasets.sample.single_stage.costs: expected systems to tell the costs of" in result.stdout


def test_dry_run_of_the_large_comparisons(tmp_path: Path, fewer: Path) -> None:
    place = put_weights(tmp_path / "place", CONFIG)
    targets = [f"results/{name}/compare.html" for name in ("voc", "coco")]
    planned = jobs(place, "--configfile", fewer, "--", *targets)
    assert (planned["compare"], planned["draw_comparison"]) == (2, 2)
    assert planned["train_classifier"] == 2 * 2 * 6
    assert planned["train_irn"] == 2 * 2 * 12
    assert planned["train_segmenter"] == 2 * 2 * (
        2 * 8 + 4 + 2
    )  # the rivals' after IRNet, ViT-PCM's and the upper bound's
    assert planned["train_single_stage"] == 2 * 2 * 14
    assert planned["extract_maps"] == 2 * 3 * 5  # of VOC's classifiers
    assert planned["make_maps"] == 2 * 3 * 17  # of COCO's, each with each of its methods
    assert planned["derive_maps"] == 2 * 2 * 3 * 3  # AdvCAM, RIB and GETAM, three shards each


def test_dry_run_of_data_set_thresholds(tmp_path: Path, fewer: Path) -> None:
    overlay = tmp_path / "rules.yaml"
    overlay.write_text(
        "refiners: {irn_rule: {labels: {threshold: otsu_dataset}, pseudo: {threshold: otsu_dataset}}}\n"
    )
    place = put_weights(tmp_path / "place", CONFIG)
    target = "results/voc/run0/conformer_small/adcam/irn_rule/pseudo_miou.json"
    planned = jobs(place, "--configfile", fewer, overlay, "--", target)
    assert (planned["count_values"], planned["choose_threshold"]) == (2 * 3, 2)
    assert planned["make_irn_labels"] == planned["make_pseudo_labels"] == 3
    assert "count_values" not in jobs(place, "--configfile", fewer, "--", target)


def test_dry_run_of_apc_s_patches_through_the_chain(tmp_path: Path) -> None:
    run = "results/sample/run0/apc_nano/patches/irn_nano"
    targets = [f"{run}/deeplab_nano/seg_miou.json", f"{run}/seed_curve.svg"]
    planned = jobs(tmp_path, "--", *targets)
    assert {"train_single_stage", "extract_patch_maps", "train_irn", "walk_cams", "train_segmenter"} <= set(
        planned
    )
    assert not {"train_classifier", "extract_maps", "diffuse_cams"} & set(planned)


def test_dry_run_of_vit_pcm_s_patches_as_pseudo_labels(tmp_path: Path) -> None:
    """No IRNet lies between; the dense CRF is a setting of the maps as they are."""
    overlay = tmp_path / "crf.yaml"
    overlay.write_text("refiners: {none: {pseudo: {crf: {extends: inferences.nano_crf.crf}}}}\n")
    target = "results/sample/run0/vit_pcm_nano/patches/none/deeplab_nano/seg_miou.json"
    planned = jobs(tmp_path, "--configfile", overlay, "--", target)
    assert planned == {
        "generate_sample": 1,
        "prepare_manifest": 1,
        "select_training": 1,
        "train_single_stage": 1,
        "extract_patch_maps": 1,
        "make_pseudo_labels": 1,
        "train_segmenter": 1,
        "predict_masks": 2,
        "count_predictions": 2,
        "evaluate_segmentation": 1,
    }
    config = read_config([overlay])
    assert config["refiners"]["none"]["pseudo"]["crf"]["bilateral_sxy"] == 11


def test_dry_run_of_vit_pcm_by_itself(tmp_path: Path) -> None:
    """A data set asks it by its patches, for it has no decoder."""
    overlay = tmp_path / "mine.yaml"
    asked = {"inference": "nano_144_patches", "pseudo": ["nano_144_patches_tags"]}
    settings = {"single_stage": {"otherwise": {"vit_pcm_nano": asked}}}
    overlay.write_text(yaml.safe_dump({"datasets": {"sample": settings}}))
    target = "results/sample/run0/vit_pcm_nano/seg_miou.json"
    planned = jobs(tmp_path, "--configfile", overlay, "--", target)
    assert planned["train_single_stage"] == planned["predict_single_stage_masks"] == 1


@pytest.mark.parametrize(
    "maps",
    ["conformer_nano/patches/none", "apc_nano/adcam/none"],
    ids=["patches of a classifier", "a classifier's method on APC"],
)
def test_methods_are_for_one_kind_of_network(tmp_path: Path, maps: str) -> None:
    target = f"results/sample/run0/{maps}/seed_miou.json"
    result = snakemake("-n", "--directory", tmp_path, "--", target)
    assert result.returncode != 0
    assert "Missing input files for rule count_seeds" in result.stdout


def test_what_is_null_is_named(tmp_path: Path) -> None:
    overlay = tmp_path / "without.yaml"
    overlay.write_text("datasets: {sample: {single_stage: null, compare: null}}\n")
    result = snakemake("-n", "--configfile", overlay, "--", "results/sample/apc/seg_miou.json")
    assert result.returncode != 0
    assert "datasets.sample.single_stage: expected settings, found none" in result.stdout


def test_dry_run_of_every_data_set(tmp_path: Path, fewer: Path) -> None:
    targets = [f"results/{name}/seg_miou.json" for name in CONFIG["datasets"]]
    place = put_weights(tmp_path / "place", CONFIG)
    planned = jobs(place, "--configfile", fewer, "--", *targets)
    assert {"render_masks", "generate_sample", "summarise_runs"} <= set(planned)
    assert not {"train_single_stage", "compare"} & set(planned)


@pytest.mark.parametrize(
    "read", [{"masks_values": {0: "background", 1: "cat", 255: "dog"}}, {"long_side": 640}]
)
def test_masks_of_other_values_and_large_pictures_are_converted_first(
    tmp_path: Path, read: dict[str, Any]
) -> None:
    overlay = tmp_path / "mine.yaml"
    settings = folder_set(tmp_path / "mine") | read
    overlay.write_text(yaml.safe_dump({"datasets": {"mine": settings}}))
    target = "results/mine/manifest.jsonl"
    assert set(jobs(tmp_path, "--configfile", overlay, "--", target)) == {
        "convert_pictures",
        "prepare_manifest",
    }


def test_dry_run_of_what_else_can_be_asked_for(tmp_path: Path) -> None:
    run = "results/voc/run1/conformer_small/adcam/irn_rule"
    targets = [
        "results/voc/examples.png",
        f"{run}/seed_curve.svg",
        f"{run}/deeplabv2/test/multi_crf/submission",
        "results/voc/run0/apc/test/side_960_crf/submission",
        "results/voc/run0/resnet50/cam/irn_displacement/seed_miou.json",
        *(f"results/pretrain/{network}.safetensors" for network in CONFIG["pretraining"]),
    ]
    place = put_weights(tmp_path, CONFIG)
    planned = jobs(place, "--", *targets)
    assert planned["export_predictions"] == 2


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_dry_run_of_an_overlay(overlay: str, tmp_path: Path) -> None:
    path = ROOT / "tests" / "configs" / overlay
    place = put_weights(tmp_path / "place", read_config([path]))
    files = (path, without_digests(tmp_path / "unchecked.yaml", read_mapping(path)))
    assert jobs(place, "--configfile", *files, "--", *OVERLAYS[overlay])


CLASSIFIER = "results/voc/run0/conformer_small/weights.safetensors"


def test_missing_initial_weights_stop_the_run_before_anything_trains(
    tmp_path: Path, quoted: Callable[[str], None]
) -> None:
    result = snakemake("-n", "--directory", tmp_path, "--", CLASSIFIER)
    assert result.returncode != 0
    quoted(result.stdout)
    assert "weights/Conformer_small_patch16.pth: expected a file of weights" in result.stdout
    assert "Missing input files" not in result.stdout


def test_a_trained_network_needs_its_initial_weights_no_more(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wildcards = SimpleNamespace(dataset="voc", run="0", classifier="conformer_small")
    with pytest.raises(ConfigError, match="expected a file of weights, found none"):
        plan.classifier_file(wildcards)
    Path(CLASSIFIER).parent.mkdir(parents=True)
    Path(CLASSIFIER).touch()
    assert plan.classifier_file(wildcards) == ["weights/Conformer_small_patch16.pth"]


def test_a_job_asks_for_the_gpus_of_its_training(tmp_path: Path) -> None:
    put_weights(tmp_path, CONFIG)
    shared = tmp_path / "shared.yaml"
    shared.write_text("execution: {gpus: {train_classifier: 4}}")
    arguments = ("-n", "--cores", "64", "--resources", "gpu=4", "--configfile", shared)
    result = snakemake("--directory", tmp_path, *arguments, "--", CLASSIFIER)
    assert "gpu=4" in result.stdout and "threads: 32" in result.stdout, result.stdout


def test_other_initial_weights_train_again(tmp_path: Path) -> None:
    initial = put_weights(tmp_path, CONFIG) / "weights" / "Conformer_small_patch16.pth"
    outputs = [tmp_path / CLASSIFIER, (tmp_path / CLASSIFIER).with_name("history.csv")]
    outputs[0].parent.mkdir(parents=True)
    files = (initial, tmp_path / "results/voc/manifest.jsonl", *outputs)
    for age, path in zip((40, 30, 20, 20), files, strict=True):
        path.touch()
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    arguments = ("-n", "--rerun-triggers", "mtime", "--directory", tmp_path, "--", CLASSIFIER)
    assert "Nothing to be done" in snakemake(*arguments).stdout
    initial.write_bytes(b"\x80others")
    result = snakemake(*arguments)
    assert "Updated input files: weights/Conformer_small_patch16.pth" in result.stdout, result.stdout


# The runner


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``rules/run_stage.py`` as a module; what it sets in the process is undone."""
    spec = importlib.util.spec_from_file_location("run_stage", ROOT / "rules" / "run_stage.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    return module


@pytest.fixture
def logging_to(tmp_path: Path, runner: ModuleType) -> Callable[[], str]:
    """Let the runner set up logging for a rule ``paint``; gives a function that reads the rule's log."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    path = tmp_path / "paint.log"
    runner.set_logging("paint", str(path))
    yield path.read_text
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = before
    logging.captureWarnings(False)


def test_files_and_parameters_become_keywords(runner: ModuleType) -> None:
    lists = {"counts": Namedlist(["b", "c"]), "source": Namedlist([]), "initial_file": Namedlist(["d"])}
    files = Namedlist(fromdict={"maps": "a", **lists})
    params = Namedlist(fromdict={"code": "abc", "crf": None, "scales": [], "settings": {"k": 1}})
    assert runner.keywords(files.items(), params.items()) == {
        "maps": "a",
        "counts": ["b", "c"],
        "crf": None,
        "scales": [],
        "settings": {"k": 1},
    }


def test_a_training_on_several_nodes_starts_by_the_launcher_of_the_cluster(runner: ModuleType) -> None:
    asked = {"gpu": 8, "nodes": 2, "cpus_per_task": 6, "mpi": "srun"}
    job = SimpleNamespace(threads=64, resources=Namedlist(fromdict=asked))
    options = "--nodes=2 --ntasks-per-node=4 --gpus-per-node=4 --cpus-per-task=6"
    assert runner.cluster_launcher(job) == f"srun {options}"
    one = SimpleNamespace(threads=64, resources=Namedlist(fromdict={"gpu": 8, "nodes": 1}))
    assert runner.cluster_launcher(one) is None
    assert [runner.own_threads(one, size) for size in (1, 8, 100)] == [64, 8, 1]


def test_a_training_on_fewer_gpus_than_configured_says_so(
    runner: ModuleType, logging_to: Callable[[], str]
) -> None:
    config = {"execution": {"gpus": {"train_single_stage": 4}}}
    job = SimpleNamespace(rule="train_single_stage", resources=SimpleNamespace(gpu=2), config=config)
    assert runner.sharing_gpus(job) == 2
    assert "trains on 2 of the 4 GPUs of execution.gpus" in logging_to()
    assert runner.sharing_gpus(SimpleNamespace(rule="walk_cams", resources=SimpleNamespace(gpu=2))) == 0


def test_what_processes_that_share_a_training_say_stays_in_the_log(
    logging_to: Callable[[], str], tmp_path: Path
) -> None:
    """They append to it while the process that started them has it open."""
    log = logging.getLogger("paint")
    log.info("starting")
    with (tmp_path / "paint.log").open("a") as others:
        others.write("out of memory\n")
    log.error("one of them failed")
    assert [line.rpartition(": ")[2] for line in logging_to().splitlines()] == [
        "starting",
        "out of memory",
        "one of them failed",
    ]


def test_an_error_of_the_project_is_one_message(
    runner: ModuleType, logging_to: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    runner.report_failures("paint")
    error = ConfigError("manifest.jsonl: cut short; remove it")
    sys.excepthook(ConfigError, error, error.__traceback__)
    assert "Traceback" not in capsys.readouterr().err
    assert "stage failed" in logging_to() and "ConfigError: manifest.jsonl: cut short" in logging_to()


def test_any_other_error_shows_its_traceback(
    runner: ModuleType, logging_to: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    runner.report_failures("paint")
    sys.excepthook(KeyError, KeyError("k"), None)
    assert "KeyError: 'k'" in capsys.readouterr().err
    assert "KeyError: 'k'" in logging_to()


def test_messages_and_warnings_go_to_the_log(logging_to: Callable[[], str]) -> None:
    logging.getLogger("wsss.stages.paint").info("half way")
    logging.getLogger("py.warnings").warning("deprecated")
    assert "wsss.stages.paint: half way" in logging_to()
    assert "deprecated" in logging_to()


# Own data sets


ROWS = {
    "a": "val,cat",
    "b": "val,dog",
    "c": "train,cat",
    "d": "train,cat",
    "e": "train,dog",
    "f": "train,dog",
}


def write_table(table: Path, rows: dict[str, str]) -> None:
    """Write a table of images, and the pictures that are not there."""
    table.write_text("\n".join(["id,split,class", *(f"{name},{row}" for name, row in rows.items())]))
    for name in rows:
        picture = table.parent / "images" / f"{name}.png"
        if not picture.exists():
            Image.new("RGB", (40, 40)).save(picture)


def test_a_corrected_table_reruns_what_reads_the_images_that_it_changed(tmp_path: Path) -> None:
    """By its content: a file that was only touched reruns nothing, and one more image of val no training."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "mine.yaml").write_text("datasets: {mine: {kind: folder, root: data}}")
    table = tmp_path / "data" / "labels.csv"
    options = ("--directory", tmp_path, "--cores", "1", "--configfile", tmp_path / "mine.yaml", "--")
    listed, training = "results/mine/manifest.jsonl", "results/mine/train.jsonl"

    write_table(table, ROWS)
    made = snakemake(*options, training)
    assert made.returncode == 0, made.stdout
    os.utime(table)
    assert "Nothing to be done" in snakemake("-n", *options, training).stdout

    write_table(table, ROWS | {"g": "val,dog"})
    assert snakemake(*options, training).returncode == 0
    assert [record.id for record in read_manifest(tmp_path / listed).records] == [*"abcdefg"]
    assert "Nothing to be done" in snakemake("-n", *options, training).stdout

    write_table(table, ROWS | {"g": "val,dog", "f": "train,cat"})
    assert snakemake(*options, training).returncode == 0
    classes = [record.classes for record in read_manifest(tmp_path / training).records]
    assert classes == [(0,), (0,), (1,), (0,)]


def test_trainings_and_what_comes_of_them_read_the_training_images_alone() -> None:
    """All rules with shards of train but those that are told the split."""
    every = {rule: " ".join(sections["input"]) for rule, sections in rules().items() if "input" in sections}
    trained = {rule for rule, files in every.items() if "train.jsonl" in files}
    assert trained >= {rule for rule in every if rule.startswith("train_")}
    told = {rule for rule, files in every.items() if "plan.split_manifest" in files}
    assert told == {"predict_masks", "predict_single_stage_masks", "count_predictions"}
