"""What happens around each training iteration besides the update itself."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.optim import Optimizer
from tqdm import tqdm

LOG_LINES = 20  # a training's share of the log where no terminal shows the bar
PATIENCE = 50  # under mixed precision the loss scaler mends an overflow by skipping steps, but not for ever

log = logging.getLogger("wsss.training")


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says where and what to do."""


class Reseed(Hook):
    """Seeds torch before each forward pass from (seed, pass), so that a resumed run drops the same units."""

    def __init__(self, seed: int) -> None:
        """Derive all from ``seed``."""
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed this pass."""
        state = np.random.SeedSequence([self.seed, runner.iter]).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))


class AtIteration(Hook):
    """Lets the training know how far it is before each forward pass."""

    def __init__(self, announce: Callable[[int], None], accumulate: int) -> None:
        """Tell ``announce`` the optimiser steps done, of ``accumulate`` forward passes each."""
        self.announce, self.accumulate = announce, accumulate

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Tell it."""
        self.announce(runner.iter // self.accumulate)


class History(Hook):
    """Keeps a row an optimiser step (losses, learning rates); the rows travel with the checkpoints."""

    def __init__(self, optimizer: Optimizer, accumulate: int, tolerant: bool) -> None:
        """Record an optimiser's rates.

        Args:
            optimizer: Its groups hold ``name`` and ``lr``.
            accumulate: Forward passes an optimiser step, over which the losses are averaged.
            tolerant: Whether a non-finite loss may pass (mixed precision) or ends the training.
        """
        self.optimizer = optimizer
        self.accumulate = accumulate
        self.patience = PATIENCE if tolerant else 1
        self.names: list[str] = []
        self.rows: list[list[float]] = []
        self._passes: list[list[float]] = []
        self._faults = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Add this pass; when its optimiser step is complete, write the row."""
        values = {name: torch.as_tensor(value).item() for name, value in (outputs or {}).items()}
        self.names = list(values)
        self._passes.append(list(values.values()))
        self._check(values["loss"], runner.iter)
        if (runner.iter + 1) % self.accumulate == 0:
            self._add_row(runner)

    def _check(self, loss: float, passes: int) -> None:
        self._faults = 0 if math.isfinite(loss) else self._faults + 1
        if self._faults >= self.patience:
            raise TrainingError(
                f"the loss is {loss} at iteration {passes // self.accumulate + 1}: expected a finite number; "
                "lower the learning rate, or set precision: full"
            )

    def _add_row(self, runner: Runner) -> None:
        losses = np.mean(self._passes, axis=0).tolist()
        self.rows.append([*losses, *(group["lr"] for group in self.optimizer.param_groups)])
        self._passes.clear()
        runner.visualizer.add_scalars(
            dict(zip(self._columns(), self.rows[-1], strict=True)), step=len(self.rows)
        )

    def _columns(self) -> list[str]:
        return [*self.names, *(f"{group['name']}_lr" for group in self.optimizer.param_groups)]

    def table(self) -> pd.DataFrame:
        """The history so far: iteration (from 1), each loss, each group's learning rate."""
        table = pd.DataFrame(self.rows, columns=self._columns())
        table.insert(0, "iteration", np.arange(1, len(table) + 1))
        return table

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the rows into a checkpoint."""
        checkpoint["history"] = {"names": self.names, "rows": torch.tensor(self.rows, dtype=torch.float64)}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint's rows."""
        self.names = checkpoint["history"]["names"]
        self.rows = checkpoint["history"]["rows"].tolist()

    def after_run(self, runner: Runner) -> None:
        """Close the event file."""
        runner.visualizer.close()


class Progress(Hook):
    """Shows how far the training is: a bar in a terminal, a few plain log lines otherwise."""

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self.start, self.first = time.monotonic(), runner.iter
        self.bar = tqdm(
            total=runner.max_iters, initial=runner.iter, desc="training", disable=not sys.stderr.isatty()
        )
        if runner.iter:
            log.info("resumed after %d of %d passes", runner.iter, runner.max_iters)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Move on by one pass."""
        done, total = runner.iter + 1, runner.max_iters
        loss = torch.as_tensor((outputs or {})["loss"]).item()
        self.bar.update()
        self.bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        if self.bar.disable and (done % max(1, total // LOG_LINES) == 0 or done == total):
            seconds = (time.monotonic() - self.start) / (done - self.first)
            left = seconds * (total - done)
            log.info(
                "pass %d of %d: loss %.4g, %.2f s a pass, about %.0f s left", done, total, loss, seconds, left
            )

    def after_train(self, runner: Runner) -> None:
        """Close the bar."""
        self.bar.close()
