"""What is said of settings that are wrong: one path, what is allowed, what was found."""

import copy
from typing import Any

import pytest

from tests.support.settings import CONFIG, ROOT, refusal
from wsss.config.errors import ConfigError
from wsss.config.reading import lay_over, read_mapping, resolved

APC = ("single_stage", "apc", "training")
TRAINING = ("classifiers", "resnet50", "training")
IRN = ("refiners", "irn")
VOC = ("datasets", "voc")
GONE = object()


def changed(keys: tuple[Any, ...], value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    inner: Any = config
    for key in keys[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return config


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        ((*TRAINING, "epohcs"), 3, "epohcs: unknown key; did you mean 'epochs'? known are epochs, batch, "),
        ((*TRAINING, "x"), 3, "x: unknown key; known are epochs, batch, "),
        ((*TRAINING, "epochs"), 0, "epochs: expected at least 1, found 0"),
        ((*TRAINING, "epochs"), "5", "epochs: expected a whole number, found '5'"),
        ((*TRAINING, "epochs"), True, "epochs: expected a whole number, found true"),
        ((*TRAINING, "epochs"), GONE, "epochs: expected a value, found none"),
        ((*TRAINING, "cnn_lr"), float("nan"), "cnn_lr: expected "),
        ((*TRAINING, "rescale"), [320], "rescale: expected at least 2 entries, found [320]"),
        ((*IRN, "pseudo", "threshold"), "ostu", "expected a number or 'half_maximum', 'otsu', "),
        ((*IRN, "labels", "foreground"), {"abov": 0.1}, "foreground.abov: unknown key; did you mean 'above'"),
        ((*IRN, "labels", "foreground"), 3, "foreground: expected at most 1.0 or keys and values, found 3"),
        (("methods", "adcam", "neighbours"), 1.5, "expected a whole number or less than 1.0, found 1.5"),
        ((*VOC, "runs"), [1, 1], "runs: expected different values, found 1 twice"),
        (
            (*VOC, "compare", "systems", 3, "methd"),
            "cam",
            "3.methd: unknown key; did you mean 'method'",
        ),
        ((*VOC, "kind"), "vok", "kind: expected one of 'sample', 'voc', 'coco', 'folder', found 'vok'"),
        ((*VOC, "kind"), GONE, "kind: expected a kind, found none"),
        (("datasets",), None, "datasets: expected keys and values, found null"),
        (
            ("segmenters", "deeplabv2", "initial", "file"),
            "x.pth",
            "initial: expected a file or timm, of which timm: false takes back a true that lies below, found",
        ),
        (("single_stage", "apc", "kind"), "acp", "kind: expected one of 'apc', 'vit_pcm', 'toco', found"),
        (("single_stage", "apc", "kind"), GONE, "kind: expected a kind, found none"),
        ((*APC, "warm_up"), 15, "training.warm_up: expected fewer than all 15 epochs, found 15"),
        ((*APC, "decoder_start"), 15, "training.decoder_start: expected fewer than all 15 epochs, found 15"),
        (
            ("single_stage_inferences", "side_960", "source"),
            "pixels",
            "source: expected 'decoder', 'patches' or 'maps', f",
        ),
        ((*VOC, "apc"), {}, "voc.apc: unknown key; it is called 'single_stage' now"),
        (
            (*VOC, "compare", "systems", 3),
            {"name": "x", "apc": "apc"},
            "apc: unknown key; it is called 'single_st",
        ),
        (("execution", "gpus", "train_apc"), 2, "apc: unknown key; it is called 'train_single_stage' now"),
    ],
)
def test_one_path_and_what_is_allowed(keys: tuple[Any, ...], value: Any, said: str) -> None:
    message = refusal(changed(keys, value))
    assert message.startswith(".".join(map(str, keys[:-1]))) and said in message
    assert "\n" not in message and "more)" not in message


def test_others_are_counted() -> None:
    config = changed((*TRAINING, "epochs"), 0)
    config["refiners"]["irn"]["walk"]["radius"] = 1
    assert (
        refusal(config) == "classifiers.resnet50.training.epochs: expected at least 1, found 0 (and 1 more)"
    )


def test_unknown_keys_come_before_what_is_missing() -> None:
    config = changed((*TRAINING, "epochs"), GONE)
    config["refiners"]["irn"]["wlak"] = {}
    assert refusal(config).startswith("refiners.irn.wlak: unknown key; did you mean 'walk'?")


@pytest.mark.parametrize("dotted", [False, True])
def test_what_many_inherit_is_named_once_where_it_was_written(dotted: bool) -> None:
    config = read_mapping(ROOT / "config.yaml")
    training = {"training.epochs": 0} if dotted else {"training": {"epochs": 0}}
    name = "apc_max" if dotted else "apc"  # apc_max_plain extends the one, twenty variants the other
    lay_over(config, {"single_stage": {name: training}})
    with pytest.raises(ConfigError) as error:
        resolved(config)
    assert str(error.value) == f"single_stage.{name}.training.epochs: expected at least 1, found 0"


@pytest.mark.parametrize("section", ["apc", "apc_inferences"])
def test_a_section_s_former_name_is_told_before_what_extends_its_variants(section: str) -> None:
    config = read_mapping(ROOT / "config.yaml")
    lay_over(config, {section: {"mine": {"extends": "apc"}}})
    with pytest.raises(ConfigError) as error:
        resolved(config)
    now = section.replace("apc", "single_stage")
    assert str(error.value) == f"{section}: unknown key; it is called {now!r} now"
