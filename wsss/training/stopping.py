"""Ends a training in good order when a scheduler asks for it with SIGTERM.

What asks: SLURM before a job's time is over, at ``scancel`` and when another job takes its place. It signals
every process of the job, the ones that load images included.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.dist import all_reduce

STOPPED = 75  # EX_TEMPFAIL of sysexits.h: not done, but the same command may do it later


class Stopped(SystemExit):
    """A training that ended after a checkpoint because it was asked to; the process exits with STOPPED."""

    def __init__(self, iteration: int) -> None:
        super().__init__(STOPPED)
        self.iteration = iteration

    def __str__(self) -> str:
        return f"stopped by SIGTERM after iteration {self.iteration}; run the same command to go on"


class Request:
    """Whether this process has received SIGTERM."""

    received = False

    def receive(self, *_: object) -> None:
        """Note the signal; nothing else is safe at any moment."""
        self.received = True

    def stands(self) -> bool:
        """Whether any process of the training has received it: all must stop after the same iteration."""
        flag = torch.tensor(float(self.received))
        all_reduce(flag, "max")
        return bool(flag)


@contextmanager
def sigterm_noted() -> Iterator[Request]:
    """Only note SIGTERM while the block runs.

    Outside the main thread Python allows no handler, and the signal does what it did before.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = signal.signal(signal.SIGTERM, request.receive)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def sigterm_held() -> Iterator[None]:
    """Hold SIGTERM back while the block runs; a process that starts in it goes on holding it back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def obey_parent_only(worker: int) -> None:
    """Let SIGTERM, held back from the start, end a process that loads images only if its parent sent it.

    Sent to the whole job, it would take from the training the images of the iteration that is to be finished.

    Args:
        worker: Number of the process, which torch passes.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_for, args=(os.getppid(),), daemon=True).start()


def _end_for(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
