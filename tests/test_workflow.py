"""Rules, configuration and planning: what Snakemake reads before anything runs."""

import ast
import copy
import functools
import importlib.util
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from snakemake.iocontainers import Namedlist

from wsss.workflow import ConfigError, Plan, check_config, shard_names

ROOT = Path(__file__).parent.parent
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "rules" / "config.schema.yaml").read_text())
OVERLAYS = {
    "msrc21.yaml": ["msrc21"],
    "formats.yaml": ["voc_smoke", "coco128"],
    "tiny.yaml": ["sample"],
}
SKELETON = ("output", "log", "benchmark", "conda", "resources", "params", "script")


def snakemake(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", *arguments]
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def put_weights(folder: Path, config: dict[str, Any]) -> Path:
    """Lay a stand-in for each file of initial weights that the configuration names, as seen from a folder."""
    folder.mkdir(exist_ok=True)
    variants = [*config["classifiers"].values(), *config["refiners"].values(), *config["segmenters"].values()]
    for file in {variant.get("initial", {}).get("file", "package:") for variant in variants}:
        if not file.startswith("package:"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
    return folder


@pytest.fixture
def config() -> dict[str, Any]:
    return copy.deepcopy(CONFIG)


@pytest.fixture
def plan(config: dict[str, Any]) -> Plan:
    return Plan(config)


# Rules


@functools.cache
def rules() -> dict[str, dict[str, list[str]]]:
    """Each rule's sections, a list of lines each, read from the formatted files."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"(?m)^(?=rule )", path.read_text())[1:]:
            name = block.split()[1].rstrip(":")
            found[name] = {}
            for line in block.splitlines()[1:]:
                if match := re.match(r"    (\w+):(.*)", line):
                    section = found[name].setdefault(match[1], [match[2]] if match[2] else [])
                elif line.strip():
                    section.append(line)
    return found


def names(rule: str, section: str) -> set[str]:
    lines = rules()[rule].get(section, [])
    return {match[1] for line in lines if (match := re.match(r" {8}(\w+)=", line))}


def run_arguments(stage: str) -> set[str]:
    tree = ast.parse((ROOT / "wsss" / "stages" / f"{stage}.py").read_text())
    run = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run")
    assert not run.args.args
    return {argument.arg for argument in run.args.kwonlyargs}


def test_every_stage_has_a_rule() -> None:
    stages = {
        path.stem for path in (ROOT / "wsss" / "stages").glob("*.py") if "\ndef run(" in path.read_text()
    }
    assert stages == set(rules())


@pytest.mark.parametrize("rule", sorted(rules()))
def test_a_rule_hands_its_stage_exactly_what_it_asks_for(rule: str) -> None:
    given = names(rule, "input") | names(rule, "output") | names(rule, "params")
    assert given - {"code", "initial_file"} == run_arguments(rule)


@pytest.mark.parametrize("rule", sorted(rules()))
def test_a_rule_has_the_skeleton(rule: str) -> None:
    sections = rules()[rule]
    assert set(SKELETON) <= set(sections)
    assert {"gpu", "mem_mb", "runtime"} <= names(rule, "resources")
    assert f'code=fingerprint("{rule}"),' in "".join(sections["params"])
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
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 60


def test_environments_declare_the_pins() -> None:
    pins = set((ROOT / "constraints.txt").read_text().split())
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        declared = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
        assert set(declared) <= pins, path.name


def test_snakemake_finds_nothing_to_lint() -> None:
    result = snakemake("--lint")
    assert result.returncode == 0, result.stdout


# Configuration


def test_the_configuration_is_valid(config: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(config, SCHEMA)
    check_config(config)


def objects(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of all closed objects in the configuration; the arguments of timm's constructors are open."""
    if not isinstance(value, dict) or path[-1:] == ("arguments",):
        return []
    inner = [found for key, item in value.items() for found in objects(item, (*path, key))]
    return [path, *inner]


@pytest.mark.parametrize("path", objects(CONFIG), ids=lambda path: ".".join(map(str, path)) or "top")
def test_an_unknown_key_is_refused_everywhere(config: dict[str, Any], path: tuple[str, ...]) -> None:
    value = config
    for key in path:
        value = value[key]
    value["stpes"] = 2
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, SCHEMA)


def test_a_typo_stops_the_run(tmp_path: Path) -> None:
    overlay = tmp_path / "typo.yaml"
    overlay.write_text("methods: {adcam: {stpes: 3}}\n")
    result = snakemake("-n", "--configfile", overlay)
    assert result.returncode != 0
    assert "'stpes' was unexpected" in result.stdout


def test_a_chain_that_does_not_fit_stops_the_run(tmp_path: Path) -> None:
    overlay = tmp_path / "misfit.yaml"
    overlay.write_text("datasets: {sample: {main: {classifier: resnet50}}}\n")
    result = snakemake("-n", "--configfile", overlay)
    assert result.returncode != 0
    assert "datasets.sample.main.method: 'adcam' needs attention" in result.stdout


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("datasets", "voc", "main", "method"), "adcm", "datasets.voc.main.method: expected one of methods"),
        (("datasets", "voc", "inferences"), ["single"], "expected the main one, 'multi_crf', among"),
        (("datasets", "voc", "inferences"), ["single", "double"], "expected names of inferences"),
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
        (("refiners", "irn", "pseudo", "threshold"), 0.255, "expected a step of evaluation.thresholds"),
        (("refiners", "irn", "pseudo", "threshold"), 0.7, "expected a step of evaluation.thresholds"),
        (("refiners", "none"), CONFIG["refiners"]["irn"], "expected a refiner without a network"),
        (("refiners", "irn"), CONFIG["refiners"]["none"], "expected labels, network, initial"),
        (("methods", "cam", "kind"), "tscam", "methods.cam: expected the plain class maps"),
    ],
)
def test_parts_that_do_not_fit_are_named(
    config: dict[str, Any], keys: tuple[str, ...], value: Any, message: str | None
) -> None:
    *parents, last = keys
    functools.reduce(lambda part, key: part[key], parents, config)[last] = value
    if message is None:
        check_config(config)
        return
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(config)


@pytest.mark.parametrize("key", ["supervision", "pixel_labels"])
def test_what_initial_weights_have_seen_must_be_said(config: dict[str, Any], key: str) -> None:
    del config["classifiers"]["conformer_small"]["initial"][key]
    with pytest.raises(jsonschema.ValidationError, match=f"'{key}' is a required property"):
        jsonschema.validate(config, SCHEMA)


def test_all_findings_come_in_one_error(config: dict[str, Any]) -> None:
    config["datasets"]["voc"]["main"] |= {"classifier": "a", "segmenter": "b"}
    config["datasets"]["sample"]["main"]["method"] = "c"
    with pytest.raises(ConfigError) as error:
        check_config(config)
    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize(
    ("section", "name"), [("datasets", "logs"), ("methods", "cams"), ("segmenters", "irn")]
)
def test_names_of_the_results_own_folders_are_refused(
    config: dict[str, Any], section: str, name: str
) -> None:
    config[section][name] = next(reversed(config[section].values()))
    with pytest.raises(ConfigError, match=f"{section}.{name}: expected another name"):
        check_config(config)


def test_an_overlay_can_replace_a_download_by_a_file(config: dict[str, Any]) -> None:
    initial = config["segmenters"]["deeplabv2"]["initial"]
    initial |= {"timm": False, "file": "weights/resnet101.pth", "sha256": None}
    jsonschema.validate(config, SCHEMA)
    initial["timm"] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, SCHEMA)


def test_too_many_steps_of_attention_diffusion_are_refused(config: dict[str, Any]) -> None:
    config["methods"]["attention_diffusion"]["steps"] = 3
    config["datasets"]["voc"]["main"]["method"] = "attention_diffusion"
    with pytest.raises(ConfigError, match=r"takes 3 steps, classifier 'conformer_small' stores 2"):
        check_config(config)


@pytest.mark.parametrize("dataset", ["voc", "coco"])
@pytest.mark.parametrize(
    ("method", "cached", "message"),
    [
        ("adcam_fraction", 64, "takes the fraction 0.09 (methods.adcam_fraction.neighbours)"),
        ("adcam_fraction", 0.05, "set views.cached_neighbours to 0.09 or more"),
        (
            "adcam",
            0.5,
            "takes 50 neighbours (methods.adcam.neighbours), classifier 'conformer_small' stores the",
        ),
        ("adcam_fraction", 0.09, None),
        ("adcam_fraction", 0.2, None),
        ("cam", 0.2, None),
    ],
)
def test_a_fraction_of_neighbours_needs_a_fraction_cached(
    config: dict[str, Any], dataset: str, method: str, cached: float, message: str | None
) -> None:
    config["classifiers"]["conformer_small"]["views"]["cached_neighbours"] = cached
    for name in ("voc", "coco"):
        config["datasets"][name]["main"]["method"] = method if name == dataset else "cam"
    jsonschema.validate(config, SCHEMA)
    if message is None:
        check_config(config)
        return
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        check_config(config)
    assert f"datasets.{dataset}.main.method: {method!r}" in str(error.value)


@pytest.mark.parametrize("cached", [0, 1.5, -0.1, "all"])
def test_neither_a_whole_number_nor_a_fraction_is_refused(config: dict[str, Any], cached: Any) -> None:
    config["classifiers"]["conformer_small"]["views"]["cached_neighbours"] = cached
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, SCHEMA)


@pytest.mark.parametrize(
    ("method", "steps", "refused"),
    [
        ("tscam", 0, True),
        ("attention_diffusion", 2, True),
        ("adcam", 0, True),
        ("cam", 2, True),
        ("cam", 0, False),
    ],
)
def test_maps_coarser_than_the_tokens_are_refused(
    config: dict[str, Any], method: str, steps: int, refused: bool
) -> None:
    config["classifiers"]["conformer_small"]["network"]["output_stride"] = 32
    config["classifiers"]["conformer_small"]["views"]["attention_steps"] = steps
    for name in ("voc", "coco"):
        config["datasets"][name]["main"]["method"] = method
    if not refused:
        check_config(config)
        return
    with pytest.raises(ConfigError, match=r"datasets\.voc\.main\..*output_stride 32.*take output_stride 16"):
        check_config(config)


# Planning


def test_shards_are_named_by_number() -> None:
    assert shard_names(3) == ["000of003", "001of003", "002of003"]


def test_patterns_match_the_configured_names_alone(plan: Plan) -> None:
    assert re.fullmatch(plan.datasets("voc"), "voc")
    assert not re.fullmatch(plan.datasets("voc"), "sample")
    assert not re.fullmatch(plan.datasets("folder"), "")
    assert not re.fullmatch(plan.walking_refiners(), "none")
    assert re.fullmatch(plan.walking_refiners(), "irn")
    assert re.fullmatch(plan.seeds(), "2") and not re.fullmatch(plan.seeds(), "3")
    assert not re.fullmatch(plan.pattern("methods"), "adcam/none")


def test_how_work_is_cut_is_no_part_of_a_data_set(plan: Plan) -> None:
    settings = plan.data_settings(SimpleNamespace(dataset="sample"))
    assert settings == {"kind": "sample", "seed": 0, "train": 240, "val": 60, "side": [64, 96]}


@pytest.mark.parametrize(
    ("dataset", "source", "gpus", "threads"),
    [
        ("sample", "results/sample/source", 0, (2, 1)),
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
    assert (plan.training_threads(wildcards), plan.shard_threads(wildcards)) == threads


def test_the_main_chain(config: dict[str, Any], plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc")
    assert [chain.refiner for chain in plan.main_walking(wildcards)] == ["irn"]
    assert plan.main_weights(wildcards) == (
        "results/voc/seed0/conformer_small/adcam/irn/deeplabv2/weights.safetensors"
    )
    assert list(plan.inference_settings(wildcards)) == ["single", "single_crf", "multi", "multi_crf"]
    config["datasets"]["voc"]["main"]["refiner"] = "none"
    assert Plan(config).main_walking(wildcards) == []


def test_irnet_s_weights_are_those_of_a_refiner_that_trains_one(plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc", seed="1", classifier="vit_tiny", method="cam", refiner="irn")
    assert plan.irn_weights(wildcards) == "results/voc/seed1/vit_tiny/cam/irn/irn/weights.safetensors"
    wildcards.refiner = "none"
    assert plan.irn_weights(wildcards) == []


def test_initial_weights_of_the_user_s_own_are_files_that_training_waits_for(config: dict[str, Any]) -> None:
    config["segmenters"]["deeplabv2"]["initial"]["file"] = "weights/resnet101.pth"
    plan = Plan(config)
    wildcards = SimpleNamespace(classifier="conformer_small", refiner="irn", segmenter="deeplabv2")
    assert plan.classifier_file(wildcards) == ["weights/Conformer_small_patch16.pth"]
    assert plan.irn_file(wildcards) == []  # timm's own
    assert plan.segmenter_file(wildcards) == ["weights/resnet101.pth"]
    shipped = SimpleNamespace(classifier="conformer_nano", refiner="irn_nano", segmenter="deeplab_nano")
    assert plan.classifier_file(shipped) == plan.irn_file(shipped) == plan.segmenter_file(shipped) == []


def test_map_settings_say_what_made_the_maps(plan: Plan) -> None:
    wildcards = SimpleNamespace(dataset="voc", classifier="conformer_small", method="adcam", refiner="none")
    settings = plan.map_settings(wildcards)
    assert settings["method"]["neighbours"] == 50
    assert settings["refiner"] == {"name": "none", "walk": None}


def test_dry_run_of_every_data_set(tmp_path: Path) -> None:
    fewer = tmp_path / "fewer_shards.yaml"  # the same rules in a tenth of the time
    fewer.write_text("datasets: {voc: {shards: 3}, coco: {shards: 3}}\n")
    targets = [f"results/{name}/seg_miou.json" for name in CONFIG["datasets"]]
    place = put_weights(tmp_path / "place", CONFIG)
    result = snakemake("-n", "--quiet", "rules", "--directory", place, "--configfile", fewer, "--", *targets)
    assert result.returncode == 0, result.stdout
    assert {"render_masks", "generate_sample", "summarise_seeds"} <= set(result.stdout.split())


def test_dry_run_of_what_else_can_be_asked_for(tmp_path: Path) -> None:
    run = "results/voc/seed1/conformer_small/adcam/irn"
    targets = [
        "results/voc/examples.png",
        f"{run}/seed_curve.svg",
        f"{run}/deeplabv2/test/multi_crf/submission",
        "results/voc/seed0/resnet50/cam/irn_displacement/seed_miou.json",
        *(f"results/pretrain/{network}.safetensors" for network in CONFIG["pretraining"]),
    ]
    place = put_weights(tmp_path, CONFIG)
    result = snakemake("-n", "--quiet", "rules", "--directory", place, "--", *targets)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_dry_run_of_an_overlay(overlay: str, tmp_path: Path) -> None:
    targets = [f"results/{name}/seg_miou.json" for name in OVERLAYS[overlay]]
    place = put_weights(tmp_path / "place", yaml.safe_load((ROOT / "tests/configs" / overlay).read_text()))
    result = snakemake(
        "-n",
        "--quiet",
        "rules",
        "--directory",
        place,
        "--configfile",
        ROOT / "tests/configs" / overlay,
        "--",
        *targets,
    )
    assert result.returncode == 0, result.stdout


CLASSIFIER = "results/voc/seed0/conformer_small/weights.safetensors"


def test_missing_initial_weights_stop_the_run_before_anything_trains(tmp_path: Path) -> None:
    result = snakemake("-n", "--directory", tmp_path, "--", CLASSIFIER)
    assert result.returncode != 0
    assert "Missing input files for rule train_classifier" in result.stdout
    assert "weights/Conformer_small_patch16.pth" in result.stdout


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
    initial.write_bytes(b"others")
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
