"""What happens around each training iteration besides the update itself."""

from __future__ import annotations

import logging
import math
import statistics
import sys
import time
from collections import deque
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
PATIENCE = 50  # under mixed precision the loss scaler fixes an overflow by skipping steps, but not forever

# When a loss has left its range for good: see LossRange.
TIMES = 10.0  # as large as at first
FLOOR = 1.0  # chance level of cross-entropies: a loss that starts lower may well rise to there
WINDOW = 100  # updates that are looked at together ...
PART = 4  # ... in a short training, one of so many parts of it ...
LEAST = 5  # ... but never fewer; a shorter training is not judged
ENDING = 10  # looked at after the last update: a loss that left its range just before

log = logging.getLogger("wsss.training")


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says where and what to do."""


class LossRange:
    """Tells whether a loss has left its range for good.

    It has if more than half of the last updates' losses are above ten times the first one, or above ten where
    that is lower than 1. Values that are not finite are above everything: mixed precision survives a few of
    them, not so many. A lone spike, a further term of the loss or a bad start that fixes itself do not count.
    """

    def __init__(self, total: int) -> None:
        """Start before the first of ``total`` updates.

        The last 100 are looked at, or a quarter of ``total`` if that is fewer, but at least 5; the last 10 at
        most when the training is over.
        """
        self.total = total
        self.updates = 0
        self.first = math.inf  # of those that are finite
        self.last = deque[float](maxlen=min(WINDOW, max(LEAST, total // PART)))

    def add(self, loss: float) -> None:
        """Add the loss of one update."""
        value = loss if math.isfinite(loss) else math.inf
        self.first = value if math.isinf(self.first) else self.first
        self.last.append(value)
        self.updates += 1

    def left(self) -> tuple[float, float, int] | None:
        """Judge the loss after the updates so far.

        Returns:
            The first finite loss, the median of the last ones and their number, infinite where they are not
            finite; None for a loss in its range.
        """
        window = self.last.maxlen or 0
        window = window if self.updates < self.total else min(window, ENDING)
        if len(self.last) < window:
            return None
        present = statistics.median_low(list(self.last)[-window:])
        out = math.isinf(present) or present > TIMES * max(self.first, FLOOR)
        return (self.first, present, window) if out else None


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


class Restart(Hook):
    """Lets the optimiser forget its state (Adam's moments and step count) before one iteration.

    That a checkpoint of this very moment holds the old state does not matter: it is forgotten again.
    """

    def __init__(self, optimizer: Optimizer, iteration: int, accumulate: int) -> None:
        """Forget after ``iteration`` steps of ``optimizer``, of ``accumulate`` forward passes each."""
        self.optimizer, self.passes = optimizer, iteration * accumulate

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Forget if it is time."""
        if runner.iter == self.passes:
            self.optimizer.state.clear()


class History(Hook):
    """Keeps one row per optimiser step (losses, learning rates); the rows travel with the checkpoints."""

    def __init__(self, optimizer: Optimizer, total: int, accumulate: int, tolerant: bool) -> None:
        """Record an optimiser's rates.

        Args:
            optimizer: Its groups hold ``name`` and ``lr``.
            total: Optimiser steps of the whole training.
            accumulate: Forward passes an optimiser step, over which the losses are averaged.
            tolerant: Whether a non-finite loss may pass (mixed precision) or ends the training.
        """
        self.optimizer = optimizer
        self.total = total
        self.accumulate = accumulate
        self.patience = PATIENCE if tolerant else 1
        self.names: list[str] = []
        self.rows: list[list[float]] = []
        self._passes: list[list[float]] = []
        self._faults = 0
        self._range = LossRange(total)

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
            self._check_range()

    def _check(self, loss: float, passes: int) -> None:
        self._faults = 0 if math.isfinite(loss) else self._faults + 1
        if self._faults >= self.patience:
            raise TrainingError(
                f"the loss is {loss} at iteration {passes // self.accumulate + 1}: expected a finite number; "
                "lower the learning rate, or set precision: full"
            )

    def _check_range(self) -> None:
        """End a training whose loss has left its range for good; its weights would be worth nothing."""
        self._range.add(self.rows[-1][self.names.index("loss")])
        if found := self._range.left():
            first, present, window = found
            fix = ", or set precision: full" if math.isinf(present) else ""
            raise TrainingError(
                f"the loss has left its range for good: it is {present:.4g} at iteration {len(self.rows)} "
                f"(median of the last {window} updates) and was {first:.4g} at the first; expected at most "
                f"{TIMES:g} times that, or {TIMES * FLOOR:g}. No weights are written. Lower the learning "
                f"rate{fix}; a segmentation network may also need network.norm: layer or "
                "training.optimizer: adamw"
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
        self._range = LossRange(self.total)
        for row in self.rows:
            self._range.add(row[self.names.index("loss")])

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
