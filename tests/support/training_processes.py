"""Trainings in processes of their own, which tests may kill."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wsss.training.hooks import Reseed
from wsss.training.stopping import Request

FORK = multiprocessing.get_context("fork")  # starts in milliseconds: everything is imported already


def steps_done(folder: Path) -> int:
    """Optimiser steps of the newest checkpoint below a training's folder; 0 without any."""
    return max((int(path.stem[-8:]) for path in folder.glob("work-*/iteration-*.pth")), default=0)


def run_and_signal(target: Callable[[], object], folder: Path, step: int, wait: float, number: int) -> int:
    """Run ``target`` in a process and signal it some time after a checkpoint; returns its exit code.

    The training waits for the signal after one checkpoint more: where the machine is busy, it comes late.

    Args:
        target: Trains in ``folder``.
        folder: Of the weights.
        step: Optimiser step of the checkpoint that is waited for; 0 waits for none.
        wait: Seconds after the checkpoint.
        number: Of the signal.
    """
    process = FORK.Process(target=_hold, args=(target, folder, step + 1))
    process.start()
    while process.is_alive() and steps_done(folder) < step:
        time.sleep(0.001)
    time.sleep(wait)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(timeout=60)
    assert process.exitcode is not None, "the process lives on"
    return process.exitcode


def _hold(target: Callable[[], object], folder: Path, step: int) -> None:
    """Run ``target``, whose training waits for a signal once it has written a checkpoint."""
    signals: list[object] = []
    proceed, receive = Reseed.before_train_iter, Request.receive

    def before_train_iter(*arguments: Any, **keywords: Any) -> None:
        while steps_done(folder) >= step and not signals:
            time.sleep(0.005)
        proceed(*arguments, **keywords)

    def received(request: Request, *arguments: object) -> None:
        signals.extend(arguments)
        receive(request)

    Reseed.before_train_iter, Request.receive = before_train_iter, received  # type: ignore[method-assign]
    target()
