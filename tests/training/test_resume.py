"""Each network's training, its process killed at random moments, ends with the undisturbed bytes."""

import logging
import random
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.apc_training import TRAINING as APC_TRAINING
from tests.support.builders import APC
from tests.support.training_processes import run_and_signal, steps_done
from tests.support.trainings import (
    CLASSIFIER_TRAINING,
    IRN,
    IRN_TRAINING,
    RANDOM,
    SEGMENTER_TRAINING,
    classify,
    make_labelled,
    outputs,
    refine,
    segment,
)
from wsss.stages.single_stage import train_single_stage
from wsss.training import STOPPED


def train_apc_in_phases(folder: Path, data: Mapping[str, Any]) -> Path:
    """APC through its phases: frozen encoder, then the decoder, then all; accumulated gradients."""
    settings = {
        "kind": "apc",
        "network": APC,
        "initial": RANDOM,
        "training": {**APC_TRAINING, "epochs": 4},
        "seed": 1,
    }
    train_single_stage.run(manifest=data["manifest"], **settings, **outputs(folder))
    return folder


# Eight or nine optimiser steps with a checkpoint after each; the number is that of forward passes in a step.
NETWORKS = {
    "classifier": (partial(classify, training={**CLASSIFIER_TRAINING, "epochs": 3}), 1),
    "irn": (
        partial(refine, network={**IRN, "displacement": True}, training={**IRN_TRAINING, "epochs": 4}),
        1,
    ),
    "deeplab": (partial(segment, training={**SEGMENTER_TRAINING, "iterations": 8}), 2),
    "apc": (train_apc_in_phases, 2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_killed_at_random_moments_a_training_ends_with_the_undisturbed_bytes(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data, (train, passes) = make_labelled(tmp_path), NETWORKS[name]
    start = time.monotonic()
    whole = train(tmp_path / "whole", data)
    iteration = (time.monotonic() - start) / 8
    caplog.clear()

    folder = tmp_path / "killed"
    run, moment = partial(train, folder, data), partial(random.uniform, 0, iteration)
    # Before the first checkpoint or soon after it; asked to stop in a later iteration; and killed in one.
    assert run_and_signal(run, folder, 0, moment(), signal.SIGKILL) == -signal.SIGKILL
    for number, code in ((signal.SIGTERM, STOPPED), (signal.SIGKILL, -signal.SIGKILL)):
        before = steps_done(folder)
        assert run_and_signal(run, folder, before + 1, moment(), number) == code
        assert steps_done(folder) > before
    done = steps_done(folder)
    run()
    assert f"resumed after {passes * done} of" in caplog.text
    for file in ("weights.safetensors", "history.csv"):
        assert (folder / file).read_bytes() == (whole / file).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["events", "history.csv", "weights.safetensors"]
