"""Checkpoints inside a stage's work folder: whole or absent, resumed from the newest whole one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

KEPT = 2  # the newest, and the one before should the newest turn out damaged


def newest_whole(work: Path) -> Path | None:
    """The newest checkpoint that was written to its end, or None."""
    return next((path for path in reversed(_checkpoints(work)) if _is_whole(path)), None)


def iteration_of(checkpoint: Path) -> int:
    """Optimiser steps that a checkpoint has behind it, from its name."""
    return int(checkpoint.stem.rpartition("-")[2])


def _checkpoints(work: Path) -> list[Path]:
    return sorted(work.glob("iteration-*.pth"))


def _is_whole(path: Path) -> bool:
    """Whether all parts of the archive are there and their check sums fit."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


class WholeCheckpoints(Hook):
    """Writes a checkpoint every so many optimiser steps under a temporary name, then renames it.

    It holds tensors and plain values only. mmengine's smoothed scalars stay out: torch's safe loading would
    take their buffers only with ``getattr`` allowed to the file, and the history keeps the same numbers.
    """

    priority = "VERY_LOW"  # after the schedule has stepped and the history has its row

    def __init__(self, work: Path, every: int, accumulate: int) -> None:
        """Write to ``work`` every ``every`` optimiser steps of ``accumulate`` forward passes."""
        self.work = work
        self.every = every
        self.accumulate = accumulate

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save if it is time."""
        step, passes = divmod(runner.iter + 1, self.accumulate)
        if passes == 0 and step % self.every == 0:
            self._save(runner, step)
            for old in _checkpoints(self.work)[:-KEPT]:
                old.unlink()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out what safe loading refuses."""
        checkpoint["message_hub"]["log_scalars"] = {}

    def _save(self, runner: Runner, step: int) -> None:
        temporary = self.work / f"unfinished.{os.getpid()}"
        runner.save_checkpoint(str(self.work), temporary.name, by_epoch=False)
        os.replace(temporary, self.work / f"iteration-{step:08d}.pth")


@contextmanager
def work_folder(weights: Path, shape: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the folder for the checkpoints of one training; it goes when the block has succeeded.

    Its name holds a digest of ``shape``, so that a changed configuration, input or code never resumes what
    another one began.

    Args:
        weights: The training's final weights, beside which the folder lies.
        shape: All that shapes the training: settings, seed, digests of inputs and code; plain JSON values.

    Yields:
        The folder, created.
    """
    name = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
    prefix = f"work-{weights.stem}-"
    work = weights.parent / f"{prefix}{name}"
    work.mkdir(parents=True, exist_ok=True)
    yield work
    for folder in weights.parent.glob(f"{prefix}*"):
        shutil.rmtree(folder)
