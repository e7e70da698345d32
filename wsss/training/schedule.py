"""How long a training runs and how its learning rates fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mmengine.optim import _ParamScheduler
from torch.optim import Optimizer


@dataclass(frozen=True)
class Schedule:
    """The numbers of one training that are not the network's.

    Attributes:
        iterations: Optimiser steps.
        batch: Images in one forward pass.
        accumulate: Forward passes whose gradients are averaged for one optimiser step.
        optimizer: AdamW, Adam (whose weight decay is an L2 penalty), or SGD with ``momentum``.
        momentum: Momentum of SGD.
        lr_step: The learning rates change only every so many iterations.
        precision: ``mixed`` computes in 16 bits on a GPU and is ``full`` on a CPU.
        restart: Optimiser steps after which the optimiser forgets what it remembers of gradients, as a new
            one would; None: never.
        checkpoints: Into how many parts checkpoints cut the training; has no influence on the result.
    """

    iterations: int
    batch: int
    accumulate: int = 1
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = 0.9
    lr_step: int = 1
    precision: Literal["mixed", "full"] = "full"
    restart: int | None = None
    checkpoints: int = 20

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "accumulate", "lr_step", "checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if self.optimizer not in ("adamw", "adam", "sgd"):
            raise ValueError(f"optimizer: expected adamw, adam or sgd, found {self.optimizer!r}")
        if self.precision not in ("mixed", "full"):
            raise ValueError(f"precision: expected mixed or full, found {self.precision!r}")

    @property
    def checkpoint_every(self) -> int:
        """Iterations between two checkpoints."""
        return max(1, self.iterations // self.checkpoints)


def epochs_to_iterations(epochs: int, images: int, images_per_iteration: int) -> int:
    """Iterations of so many passes over the images; the last iteration of a pass may reach into the next."""
    if images < 1:
        raise ValueError("expected at least 1 training image, found none")
    return epochs * -(-images // images_per_iteration)


def polynomial(base: float, iteration: int, total: int, power: float, step: int = 1) -> float:
    """Learning rate of one iteration (counted from 0); power 0 keeps it constant."""
    progress = step * (iteration // step) / total
    return float(base * (1.0 - progress) ** power)


def base_rate(first: float, changes: Sequence[tuple[int, float]], iteration: int) -> float:
    """The rate that holds at an iteration (counted from 0).

    Args:
        first: Rate of the first iterations.
        changes: Iterations from which on another rate holds, ascending, with that rate.
        iteration: Optimiser steps done before.
    """
    return next((rate for start, rate in reversed(changes) if iteration >= start), first)


class PolynomialLR(_ParamScheduler):
    """Gives each parameter group its own polynomial, in closed form, from the group's ``power``.

    A group's optional ``changes`` replace the rate that the polynomial starts from, see :func:`base_rate`.
    """

    def __init__(self, optimizer: Optimizer, total: int, step: int = 1, accumulate: int = 1) -> None:
        """Schedule ``total`` optimiser steps.

        Args:
            optimizer: Its groups hold ``lr``, ``power`` and optionally ``changes``.
            total: Optimiser steps.
            step: The rates change only every so many optimiser steps.
            accumulate: Calls of :meth:`step` that belong to one optimiser step.
        """
        self.total = total
        self.every = step
        self.accumulate = accumulate
        self.powers = [group["power"] for group in optimizer.param_groups]
        self.changes = [group.get("changes", ()) for group in optimizer.param_groups]
        super().__init__(optimizer, "lr", by_epoch=False)

    def _get_value(self) -> list[float]:
        iteration = self.last_step // self.accumulate
        return [
            polynomial(base_rate(first, changes, iteration), iteration, self.total, power, self.every)
            for first, changes, power in zip(self.base_values, self.changes, self.powers, strict=True)
        ]
