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

from tests.stages.builders import APC
from tests.stages.test_train_apc import TRAINING as APC_TRAINING
from tests.stages.trainings import (
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
from tests.training.processes import run_and_signal, steps_done
from wsss.stages import train_apc
from wsss.training import STOPPED


def train_single_stage(folder: Path, data: Mapping[str, Any]) -> Path:
    """APC through its phases: frozen encoder, then the decoder, then all; accumulated gradients."""
    settings = {"network": APC, "initial": RANDOM, "training": APC_TRAINING, "seed": 1}
    train_apc.run(manifest=data["manifest"], **settings, **outputs(folder))
    return folder


STEPS = 10  # of two forward passes each, with a checkpoint after each
NETWORKS = {
    "classifier": partial(classify, training={**CLASSIFIER_TRAINING, "epochs": 5, "accumulate": 2}),
    "irn": partial(
        refine,
        network={**IRN, "displacement": True},
        training={**IRN_TRAINING, "epochs": 10, "accumulate": 2},
    ),
    "deeplab": partial(segment, training={**SEGMENTER_TRAINING, "iterations": 10}),
    "apc": train_single_stage,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_killed_at_random_moments_a_training_ends_with_the_undisturbed_bytes(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data, train = make_labelled(tmp_path), NETWORKS[name]
    start = time.monotonic()
    whole = train(tmp_path / "whole", data)
    iteration = (time.monotonic() - start) / STEPS
    caplog.clear()

    folder = tmp_path / "killed"
    run, moment = partial(train, folder, data), partial(random.uniform, 0, iteration)
    # Before the first checkpoint or soon after it; in a later iteration; asked to stop; and killed again.
    assert run_and_signal(run, folder, 0, moment(), signal.SIGKILL) == -signal.SIGKILL
    for number, code in (
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGTERM, STOPPED),
        (signal.SIGKILL, -signal.SIGKILL),
    ):
        before = steps_done(folder)
        assert run_and_signal(run, folder, before + 1, moment(), number) == code
        assert steps_done(folder) > before
    done = steps_done(folder)
    run()
    assert f"resumed after {2 * done} of {2 * STEPS} passes" in caplog.text
    for file in ("weights.safetensors", "history.csv"):
        assert (folder / file).read_bytes() == (whole / file).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["events", "history.csv", "weights.safetensors"]
