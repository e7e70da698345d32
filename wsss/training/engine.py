"""Trains any network of this project on mmengine's Runner; the same inputs give the same bytes on a CPU."""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import BaseDataPreprocessor, BaseModel, is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner, set_random_seed
from mmengine.visualization import TensorboardVisBackend, Visualizer
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.utils.data import DataLoader, Dataset

from wsss.artefacts.formats import write_table
from wsss.data.sampler import PositionSampler
from wsss.runtime.device import device
from wsss.runtime.threads import thread_count
from wsss.training.checkpoints import Checkpoint, WholeCheckpoints, newest_whole
from wsss.training.distributed import agree, as_one, joined, own_part, share_of, shared
from wsss.training.hooks import AtIteration, History, Progress, Reseed, Restart, TrainingError
from wsss.training.schedule import PolynomialLR, Schedule
from wsss.training.stopping import Stopped, obey_parent_only, sigterm_held, sigterm_noted

__all__ = ["Losses", "TrainingError", "seed_everything", "train"]

Losses = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]

# What mmengine remarks on by habit: a data set without drawing colours, batch norm (frozen or not) under
# accumulated gradients, its own use of its own old file client.
REMARKS = (
    "has no metainfo",
    "Gradient accumulative may",
    '"FileClient" will be',
    '"HardDiskBackend" is the alias',
)

log = logging.getLogger("wsss.training")
_runs = itertools.count()  # mmengine keeps its objects by name for the life of the process


def seed_everything(seed: int) -> None:
    """Seed all generators and ask for deterministic algorithms; call before a network is built."""
    # cuBLAS reads this once, when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_random_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling every new tensor first is for finding reads of memory that nobody wrote, and takes time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@joined()
def train(
    network: nn.Module,
    losses: Losses,
    dataset: Dataset[dict[str, Tensor]],
    groups: Sequence[Mapping[str, Any]],
    schedule: Schedule,
    *,
    seed: int,
    work: Path,
    history: Path,
    events: Path,
    at_iteration: Callable[[int], None] = lambda iteration: None,
) -> nn.Module:
    """Train a network in place, resuming from the newest whole checkpoint in ``work``.

    Where :func:`~wsss.runtime.launch.launch` started several processes, each calls this function; they share
    the batches, and the first one writes.

    Args:
        network: Holds its initial weights.
        losses: Called with the network and a batch on the network's device; returns scalars by name. Those
            whose name contains ``loss`` are summed and minimised, others are only recorded.
        dataset: Has a length; items, dicts of tensors of equal shape, are asked for by ``Sample``.
        groups: Parameter groups, each with ``name``, ``params``, ``lr``, ``weight_decay``, ``power`` and,
            optionally, ``changes`` of the rate (see :func:`wsss.training.schedule.base_rate`).
        schedule: How long and how.
        seed: Of the order of the samples and of everything random inside the network.
        work: Folder of the checkpoints.
        history: CSV to write: one row per iteration.
        events: Folder for TensorBoard.
        at_iteration: Called before each forward pass with the number of optimiser steps done; sets what
            differs between phases of the training (parameters without gradient, terms of the loss) from that
            number alone, so that a resumed training is in the right phase.

    Returns:
        The network, in eval mode.

    Raises:
        Stopped: The process received SIGTERM; a checkpoint of the state reached lies in ``work``.
        TrainingError: The loss is not finite, or has left its range for good.
    """
    seed_everything(seed)
    network.to(device())
    optimizer = _optimizer(groups, schedule)
    record = History(optimizer, schedule.iterations, schedule.accumulate, tolerant=_is_mixed(schedule))
    with _quiet(), sigterm_noted() as request:
        hooks = [
            Reseed(seed),
            AtIteration(at_iteration, schedule.accumulate),
            *_restarts(optimizer, schedule),
            record,
            *([Progress()] if is_main_process() else []),
            WholeCheckpoints(work, schedule.checkpoint_every, schedule.accumulate, request),
        ]
        runner = _runner(network, losses, dataset, optimizer, schedule, seed, work, events, hooks)
        runner.train()
    if runner.train_loop.stop_training:
        stopped = Stopped(runner.iter // schedule.accumulate)
        log.warning("%s", stopped)
        raise stopped
    if is_main_process():
        write_table(history, record.table())
    return network.eval()


def _is_mixed(schedule: Schedule) -> bool:
    return schedule.precision == "mixed" and torch.cuda.is_available()


def _optimizer(groups: Sequence[Mapping[str, Any]], schedule: Schedule) -> Optimizer:
    trained = [{**group, "params": list(group["params"])} for group in groups]
    if schedule.optimizer == "sgd":
        return SGD(trained, momentum=schedule.momentum)
    return Adam(trained) if schedule.optimizer == "adam" else AdamW(trained)


def _restarts(optimizer: Optimizer, schedule: Schedule) -> list[Restart]:
    return [] if schedule.restart is None else [Restart(optimizer, schedule.restart, schedule.accumulate)]


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _wrap(optimizer: Optimizer, schedule: Schedule) -> OptimWrapper:
    wrapper = AmpOptimWrapper if _is_mixed(schedule) else OptimWrapper
    return wrapper(optimizer=optimizer, accumulative_counts=schedule.accumulate)


def _loader(
    dataset: Dataset[dict[str, Tensor]], schedule: Schedule, seed: int, done: int
) -> DataLoader[dict[str, Tensor]]:
    """Batches from after ``done`` forward passes on, without end.

    On a CPU the cores are busy with the network, and a worker would only take them from it.
    """
    on_gpu = torch.cuda.is_available()
    return DataLoader(
        dataset,
        batch_size=share_of(schedule.batch),
        sampler=own_part(PositionSampler(len(dataset), seed, done * schedule.batch), schedule.batch),  # type: ignore[arg-type]
        num_workers=thread_count() if on_gpu else 0,
        pin_memory=on_gpu,
        worker_init_fn=obey_parent_only,
    )


def _runner(
    network: nn.Module,
    losses: Losses,
    dataset: Dataset[dict[str, Tensor]],
    optimizer: Optimizer,
    schedule: Schedule,
    seed: int,
    work: Path,
    events: Path,
    hooks: list[Any],
) -> Runner:
    """A runner that stands where the newest whole checkpoint in ``work`` was written."""
    name = f"{work.name}-{next(_runs)}"
    checkpoint = newest_whole(work)
    agree(checkpoint.passes if checkpoint else 0)
    if checkpoint is None and is_main_process():
        _remove_curves(events)
    unused = ("timer", "sampler_seed", "logger", "checkpoint")  # replaced by this project's hooks
    runner = _QuietRunner(
        model=shared(_Trainee(network, losses).to(device()), _parameters(optimizer)),
        work_dir=str(work),
        train_dataloader=_loader(dataset, schedule, seed, checkpoint.passes if checkpoint else 0),
        train_cfg={"type": _PreparedLoop, "max_iters": schedule.iterations * schedule.accumulate},
        optim_wrapper=_wrap(optimizer, schedule),
        param_scheduler=PolynomialLR(optimizer, schedule.iterations, schedule.lr_step, schedule.accumulate),
        default_hooks=dict.fromkeys(unused),
        custom_hooks=hooks,
        load_from=str(checkpoint.path) if checkpoint else None,
        resume=checkpoint is not None,
        launcher="pytorch" if get_world_size() > 1 else "none",
        visualizer=Visualizer(name, vis_backends=[TensorboardVisBackend(str(events))]),
        default_scope=None,  # one of its own would hide mmseg's registry from whoever builds a network next
        randomness={"seed": seed},
        experiment_name=name,
    )
    runner.checkpoint = checkpoint
    return runner


def _remove_curves(events: Path) -> None:
    """Remove an earlier run's curves, which would overlap; another process may write to the folder."""
    for file in events.glob("*"):
        file.unlink(missing_ok=True)


class _Trainee(BaseModel):
    """A network and its losses in the form that the Runner trains."""

    def __init__(self, network: nn.Module, losses: Losses) -> None:
        super().__init__(BaseDataPreprocessor())
        self.network = network
        self.losses = losses

    def init_weights(self) -> None:
        """Nothing: the network comes with its weights, which timm's methods of this name would overwrite."""

    def forward(self, mode: str = "loss", **batch: Tensor) -> dict[str, Tensor]:
        """The losses of a batch; the Runner asks for no other mode here."""
        with as_one():
            return self.losses(self.network, batch)


class _PreparedLoop(IterBasedTrainLoop):
    """The Runner's loop over a loader that already stands where the checkpoint stopped.

    The parent loads and drops every batch that was trained on before, and sleeps between epochs.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        with sigterm_held():  # the loading processes start here, see obey_parent_only
            super().__init__(*arguments, **keywords)

    def run(self) -> nn.Module:
        """Train to the end, or until it is asked to stop."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        while self._iter < self._max_iters and not self.stop_training:
            self.run_iter(next(self.dataloader_iterator))
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        model: nn.Module = self.runner.model
        return model


class _QuietRunner(Runner):
    """The Runner without its own log file, copy of the settings and description of the machine."""

    checkpoint: Checkpoint | None = None  # to resume from

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """Nothing: it would start half a dozen programs to fill the log with versions."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **_: Any) -> MMLogger:
        logger = MMLogger.get_instance(self.experiment_name, log_level="WARNING")
        logger.handlers[:] = [_ToStandardLogging(logging.WARNING)]
        return logger

    def dump_config(self) -> None:
        """Nothing: the settings lie beside the weights."""

    def load_checkpoint(self, filename: str, **_: Any) -> dict[str, Any]:
        """Load what was read already, and forget it to free its memory."""
        assert self.checkpoint is not None, filename
        content, self.checkpoint = self.checkpoint.content, None
        self.call_hook("after_load_checkpoint", checkpoint=content)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        model.load_state_dict(content["state_dict"])
        return content


class _ToStandardLogging(logging.Handler):
    """Hands mmengine's warnings to Python's logging, which the stage's log file listens to."""

    def emit(self, record: logging.LogRecord) -> None:
        if not any(remark in record.getMessage() for remark in REMARKS):
            logging.getLogger(record.name).handle(record)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back warnings about the insides of mmengine that nobody here can act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        # With accumulated gradients its schedulers step before the optimiser does, as they should.
        warnings.filterwarnings("ignore", message="Detected call of `scheduler.step")
        yield
