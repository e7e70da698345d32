from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.support.datasets import folder_set
from tests.support.planning import snakemake
from tests.support.settings import CONFIG
from wsss.workflow.predictor_plan import PredictorPlan

RUN = "results/sample/run0"
CHAIN = "conformer_nano/adcam_n020/irn_nano/deeplab_nano"


def wildcards(stage: str) -> Any:
    return SimpleNamespace(dataset="sample", stage=stage)


def test_the_main_chain_s_network_of_the_first_run() -> None:
    plan, asked = PredictorPlan(CONFIG), wildcards("")
    assert plan.kind(asked) == "segmenter"
    assert plan.weights(asked) == f"{RUN}/{CHAIN}/weights.safetensors"
    assert plan.scores(asked) == f"{RUN}/{CHAIN}/seg_miou.json"
    assert plan.ancestors(asked) == [
        f"{RUN}/conformer_nano/weights.safetensors",
        f"{RUN}/conformer_nano/adcam_n020/irn_nano/irn/weights.safetensors",
    ]
    assert plan.network(asked) == CONFIG["segmenters"]["deeplab_nano"]["network"]
    assert plan.inference(asked) == CONFIG["inferences"]["nano_crf"]
    labels = plan.labels(asked)
    assert labels["system"] == CHAIN and labels["threshold"] == "otsu" and labels["crf"]["iterations"] == 10


def test_the_single_stage() -> None:
    plan, asked = PredictorPlan(CONFIG), wildcards("apc/")
    assert plan.kind(asked) == "apc"
    assert plan.weights(asked) == f"{RUN}/apc_nano/weights.safetensors"
    assert plan.scores(asked) == f"{RUN}/apc_nano/seg_miou.json"
    assert plan.ancestors(asked) == []
    assert plan.network(asked) == CONFIG["single_stage"]["apc_nano"]["network"]
    assert plan.inference(asked) == CONFIG["single_stage_inferences"]["nano_144_crf"]
    assert plan.labels(asked) == {"system": "apc_nano", "supervision": "image labels"}


@pytest.mark.parametrize("stage", ["", "apc/"])
def test_it_is_told_the_size_at_which_pictures_are_read(stage: str) -> None:
    config = deepcopy(CONFIG)
    config["datasets"]["sample"]["long_side"] = 640
    assert PredictorPlan(config).labels(wildcards(stage))["long_side"] == 640


def test_a_chain_that_refines_nothing_has_a_classifier_alone() -> None:
    config = deepcopy(CONFIG)
    config["datasets"]["sample"]["main"]["refiner"] = "none"
    assert PredictorPlan(config).ancestors(wildcards("")) == [f"{RUN}/conformer_nano/weights.safetensors"]


@pytest.mark.parametrize("target", ["results/sample/predictor", "results/sample/apc/predictor"])
def test_a_predictor_can_be_asked_for(tmp_path: Path, target: str) -> None:
    result = snakemake("-n", "--quiet", "rules", "--directory", tmp_path, "--", target)
    assert result.returncode == 0 and "package_predictor" in result.stdout, result.stdout


def test_pictures_without_masks_have_a_predictor_without_scores(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    data = {**folder_set(tmp_path), "masks": None}
    overlay.write_text(yaml.safe_dump({"datasets": {"mine": data}}))
    arguments = ("-n", "--quiet", "rules", "--directory", tmp_path, "--configfile", overlay)
    result = snakemake(*arguments, "--", "results/mine/predictor")
    assert result.returncode == 0 and "package_predictor" in result.stdout, result.stdout
    assert "evaluate" not in result.stdout
