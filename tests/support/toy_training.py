"""A training of seconds, and how it is killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss.data.sampler import Sample
from wsss.training import Schedule, train


class Points(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Twelve points in five dimensions; which side of a plane they lie on is to be learnt."""

    def __init__(self) -> None:
        generator = np.random.default_rng(7)
        self.inputs = torch.from_numpy(generator.normal(size=(12, 5)).astype(np.float32))
        self.targets = (self.inputs @ torch.tensor([1.0, -2.0, 0.5, 0.0, 1.0]) > 0).float()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, sample: Sample) -> dict[str, Tensor]:
        noise = np.random.default_rng([3, sample.position]).normal(scale=0.01, size=5).astype(np.float32)
        return {
            "inputs": self.inputs[sample.index] + torch.from_numpy(noise),
            "targets": self.targets[sample.index],
        }


def toy(*, dropout: float = 0.3, norm: bool = True) -> nn.Module:
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(8)] if norm else []
    return nn.Sequential(nn.Linear(5, 8), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1))


def toy_losses(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    logits = network(batch["inputs"])[:, 0]
    hits = (logits > 0) == (batch["targets"] > 0)
    return {
        "toy_loss": F.binary_cross_entropy_with_logits(logits, batch["targets"]),
        "share": hits.float().mean(),
    }


def groups(network: Any, lr: float = 0.05) -> list[dict[str, Any]]:
    return [
        {"name": "first", "params": network[0].parameters(), "lr": lr, "weight_decay": 1e-4, "power": 0.0},
        {
            "name": "rest",
            "params": network[1:].parameters(),
            "lr": 2 * lr,
            "weight_decay": 0.0,
            "power": 0.9,
        },
    ]


def fit(
    folder: Path,
    schedule: Schedule,
    *,
    losses: Any = toy_losses,
    network: Any = None,
    seed: int = 1,
    lr: float = 0.05,
) -> nn.Module:
    network = toy() if network is None else network
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    return train(
        network,
        losses,
        Points(),
        groups(network, lr),
        schedule,
        seed=seed,
        work=work,
        history=folder / "history.csv",
        events=folder / "events",
    )


def state_bytes(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


class Killed(BaseException):
    """Stands for a kill: nothing in between may catch it."""


def killer(
    after: int, inner: Any = toy_losses
) -> Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]:
    """The toy's losses, or others, until the given number of forward passes is over."""
    left = iter(range(after))

    def losses(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if next(left, None) is None:
            raise Killed
        losses: dict[str, Tensor] = inner(network, batch)
        return losses

    return losses


SHORT = Schedule(iterations=12, batch=4, accumulate=2, checkpoints=4)  # checkpoints after 3, 6, 9 and 12
