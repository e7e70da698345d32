"""Checkpoints inside a training's work folder: whole or absent, resumed from the newest whole one."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from wsss.artefacts.files import ArtefactError, atomic_file, digest
from wsss.training.stopping import Request

KEPT = 2  # the newest, and the one before should the newest turn out damaged
SECONDS = 600.0  # what a killed training loses at most, beside the iteration at hand
SEAL = 32  # bytes of the digest at the end of each
NAME = "iteration-{:08d}.pth"

log = logging.getLogger("wsss.training")


class Checkpoint(NamedTuple):
    """A checkpoint that was read whole: its file, and all that mmengine saved in it."""

    path: Path
    content: dict[str, Any]

    @property
    def passes(self) -> int:
        """Forward passes that it has behind it."""
        return int(self.content["meta"]["iter"])


def newest_whole(work: Path) -> Checkpoint | None:
    """Read the newest checkpoint that was written to its end and is undamaged; None without any."""
    checkpoints = (_read(path) for path in reversed(_checkpoints(work)))
    return next((checkpoint for checkpoint in checkpoints if checkpoint), None)


def _checkpoints(work: Path) -> list[Path]:
    return sorted(work.glob("iteration-*.pth"))  # as NAME


def _read(path: Path) -> Checkpoint | None:
    """Read a checkpoint if it is whole; another process that trains the same may remove it meanwhile."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(memoryview(content)[:-SEAL]).digest() != content[-SEAL:]:
        log.warning("%s is damaged: the training goes on from an earlier state", path)
        return None
    return Checkpoint(path, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def _seal(path: Path) -> None:
    """Append a file's digest, which torch passes over when it reads the archive before it."""
    seal = bytes.fromhex(digest(path))
    with path.open("ab") as file:
        file.write(seal)


class WholeCheckpoints(Hook):
    """Writes checkpoints between optimiser steps, each under a temporary name first.

    It holds tensors and plain values only. mmengine's smoothed scalars stay out: torch's safe loading would
    take their buffers only with ``getattr`` allowed to the file, and the history keeps the same numbers.
    """

    priority = "VERY_LOW"  # after the schedule has stepped and the history has its row

    def __init__(self, work: Path, every: int, accumulate: int, request: Request) -> None:
        """Set when to save.

        Args:
            work: Folder of the checkpoints.
            every: Optimiser steps from one to the next, should they take less than ``SECONDS``.
            accumulate: Forward passes an optimiser step.
            request: If it stands, the training ends after the checkpoint of the step at hand.
        """
        self.work, self.every, self.accumulate = work, every, accumulate
        self.request = request

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self.saved = time.monotonic()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save if it is time."""
        step, passes = divmod(runner.iter + 1, self.accumulate)
        if passes == 0:
            runner.train_loop.stop_training = self.request.stands()
            if runner.train_loop.stop_training or self._is_due(step, runner.iter + 1 == runner.max_iters):
                self._save(runner, step)

    def _is_due(self, step: int, last: bool) -> bool:
        return last or step % self.every == 0 or time.monotonic() - self.saved >= SECONDS

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out what safe loading refuses."""
        checkpoint["message_hub"]["log_scalars"] = {}

    @master_only
    def _save(self, runner: Runner, step: int) -> None:
        target = self.work / NAME.format(step)
        try:
            with atomic_file(target) as temporary:
                runner.save_checkpoint(str(self.work), temporary.name, by_epoch=False)
                _seal(temporary)
        except ArtefactError:
            if self.work.exists():
                raise  # else another process, which trains the same, was faster and has tidied up
        self.saved = time.monotonic()
        older = [path for path in _checkpoints(self.work) if path <= target]
        for path in older[:-KEPT]:
            path.unlink(missing_ok=True)
