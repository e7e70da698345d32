"""Two processes on the CPU that train together: the same as one with the whole batch, up to rounding."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.apc_training import TRAINING
from tests.support.builders import APC
from tests.support.toy_training import Points, fit, groups, toy, toy_losses
from tests.support.training_processes import FORK, steps_done
from tests.support.trainings import (
    CLASSIFIER_TRAINING,
    IRN,
    IRN_TRAINING,
    NANO,
    RANDOM,
    classify,
    make_labelled,
    outputs,
    refine,
    segment,
)
from wsss.artefacts.formats import open_tensors, read_table
from wsss.data.sampler import BatchShare, PositionSampler
from wsss.runtime import launch
from wsss.stages.single_stage import train_single_stage
from wsss.training import Schedule, train
from wsss.training.checkpoints import newest_whole
from wsss.training.distributed import PATIENCE, as_one, joined

# A bias before a batch norm has a gradient of rounding errors alone, which Adam would blow up.
STEADY = Schedule(iterations=6, batch=4, accumulate=2, optimizer="sgd", checkpoints=2)  # after 3 and 6
# Of a loss and of a weight, relative to the largest weight of its tensor: sums in another order, in float32.
TOLERANCE = 1e-4


def together(work: Callable[[], object], size: int = 2) -> list[int]:
    """Do the work in several processes that know of each other; returns their exit codes."""
    address = f"127.0.0.1:{launch._free_port()}"
    processes = [FORK.Process(target=_take_place, args=(work, rank, size, address)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=600)
    assert all(process.exitcode is not None for process in processes), "a process hangs"
    return [process.exitcode or 0 for process in processes]


def _take_place(work: Callable[[], object], rank: int, size: int, address: str) -> None:
    places = {launch.SIZE: size, launch.RANK: rank, launch.LOCAL_RANK: rank, launch.ADDRESS: address}
    os.environ.update({name: str(value) for name, value in places.items()})
    work()


def save_after(work: Callable[[], nn.Module], folder: Path) -> None:
    """Keep what a process ends with."""
    torch.save(work().state_dict(), folder / f"rank{launch.place().rank}.pt")


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(1e-3, float(value.abs().max()))
        torch.testing.assert_close(found[name], value, rtol=0, atol=TOLERANCE * scale, msg=name)


def assert_same_curve(found: Path, expected: Path) -> None:
    tables = [read_table(path) for path in (found, expected)]
    pd.testing.assert_frame_equal(*tables, rtol=TOLERANCE, atol=1e-6, check_dtype=False)


# ------------------------------------------------------------------------------------------------- the engine


def test_processes_that_share_a_batch_train_as_one(tmp_path: Path) -> None:
    """With batch norm, dropout, accumulated gradients and the rates' schedule."""
    whole = fit(tmp_path / "one", STEADY)
    work = partial(save_after, partial(fit, tmp_path / "many", STEADY), tmp_path)
    assert together(work) == [0, 0]
    first, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert_close(first, whole.state_dict())
    assert_same_curve(tmp_path / "many/history.csv", tmp_path / "one/history.csv")
    assert len(list((tmp_path / "many/events").iterdir())) == 1  # only the first process writes
    assert all(torch.equal(other[name], value) for name, value in first.items())


def interrupted(folder: Path, fatal: Callable[[], object]) -> None:
    """Train the toy; what is fatal happens in the second process in its tenth pass."""
    passes = iter(range(9))

    def losses(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if next(passes, None) is None and launch.place().rank == 1:
            fatal()
        return toy_losses(network, batch)

    fit(folder, STEADY, losses=losses)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("size", [1, 2])
def test_a_training_whose_process_died_goes_on_with_as_many_or_fewer(tmp_path: Path, size: int) -> None:
    start = time.monotonic()
    first, second = together(partial(interrupted, tmp_path / "killed", die))
    assert first != 0 and second == -signal.SIGKILL
    assert time.monotonic() - start < PATIENCE.total_seconds() / 2  # the other one did not wait for it
    checkpoint = newest_whole(tmp_path / "killed/work")
    assert checkpoint is not None and checkpoint.passes == 6
    if size == 1:
        resumed = fit(tmp_path / "killed", STEADY).state_dict()
    else:
        assert together(partial(save_after, partial(fit, tmp_path / "killed", STEADY), tmp_path)) == [0, 0]
        resumed = torch.load(tmp_path / "rank0.pt")
    assert_close(resumed, fit(tmp_path / "whole", STEADY).state_dict())
    assert_same_curve(tmp_path / "killed/history.csv", tmp_path / "whole/history.csv")


def test_a_resumed_training_of_two_has_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
    stopped = partial(interrupted, tmp_path / "stopped", ask_to_stop)
    assert together(stopped) == [75, 75]  # one process was asked, both stopped
    checkpoint = newest_whole(tmp_path / "stopped/work")
    assert checkpoint is not None and checkpoint.passes == 10  # the step at hand was finished
    for folder in ("whole", "stopped"):
        work = partial(save_after, partial(fit, tmp_path / folder, STEADY), tmp_path / folder)
        assert together(work) == [0, 0]
    histories = [(tmp_path / folder / "history.csv").read_bytes() for folder in ("whole", "stopped")]
    states = [torch.load(tmp_path / folder / "rank0.pt") for folder in ("whole", "stopped")]
    assert histories[0] == histories[1]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert together(partial(fit, tmp_path, Schedule(iterations=2, batch=5))) == [1, 1]
    assert "batch: expected a multiple of the 2 processes that share it, found 5" in capfd.readouterr().err


def test_processes_that_see_different_checkpoints_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path / "0", STEADY)

    def apart() -> None:
        fit(tmp_path / str(launch.place().rank), STEADY)

    assert together(apart) == [1, 1]
    assert "found some after 12 passes and some after 0" in capfd.readouterr().err


def in_phases(folder: Path) -> nn.Module:
    """The first layer rests at first; the last one is of no use until later."""
    network = toy(norm=False)
    extra = nn.Linear(5, 1)
    network.extra = extra
    begun = [0]

    def begin(iteration: int) -> None:
        begun[0] = iteration
        network[0].requires_grad_(iteration >= 2)

    def losses(module: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        found = toy_losses(module[:4], batch)
        if begun[0] >= 4:
            found["extra_loss"] = module[4](batch["inputs"]).square().mean()
        else:
            found["extra_loss"] = batch["inputs"].new_zeros(())
        return found

    begin(0)
    (folder / "work").mkdir(parents=True, exist_ok=True)
    return train(
        network,
        losses,
        Points(),
        groups(network),
        Schedule(6, batch=4, accumulate=2, optimizer="adam", checkpoints=2),
        seed=1,
        work=folder / "work",
        history=folder / "history.csv",
        events=folder / "events",
        at_iteration=begin,
    )


def test_what_rests_at_first_is_averaged_once_it_learns(tmp_path: Path) -> None:
    """Parameters without gradient when the processes meet, and others that no loss reaches until later."""
    whole = in_phases(tmp_path / "one")
    assert together(partial(save_after, partial(in_phases, tmp_path / "two"), tmp_path)) == [0, 0]
    states = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["0.weight"], toy(norm=False)[0].weight)
    assert_close(states[0], whole.state_dict())
    assert_same_curve(tmp_path / "two/history.csv", tmp_path / "one/history.csv")


# --------------------------------------------------------------------------------------------- what is shared


def of_both(folder: Path, compute: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Write a process's result, and its gradient, for its half of the images."""
    with joined():
        half = images.chunk(2)[launch.place().rank].clone().requires_grad_()
        torch.manual_seed(5)
        with as_one():
            result = compute(half)
        (result * torch.arange(result[0].numel()).reshape(result[0].shape)).sum().backward()
        torch.save((result.detach(), half.grad), folder / f"rank{launch.place().rank}.pt")


def drop_path(images: Tensor) -> Tensor:
    from timm.layers import DropPath

    return DropPath(0.5).train()(images)


@pytest.mark.parametrize(
    "compute",
    [
        lambda images: nn.BatchNorm2d(3).double().train()(images),
        lambda images: nn.BatchNorm2d(3, affine=False, track_running_stats=False).double().train()(images),
        lambda images: F.dropout(images, 0.5),
        lambda images: F.dropout2d(images, 0.5),
        drop_path,
    ],
    ids=["batch_norm", "plain_batch_norm", "dropout", "dropout2d", "drop_path"],
)
def test_halves_of_a_batch_give_halves_of_the_result_and_its_gradient(
    tmp_path: Path, compute: Callable[[Tensor], Tensor]
) -> None:
    images = torch.randn(6, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    whole = images.clone().requires_grad_()
    torch.manual_seed(5)
    expected = compute(whole)
    (expected * torch.arange(expected[0].numel()).reshape(expected[0].shape)).sum().backward()
    assert together(partial(of_both, tmp_path, compute, images)) == [0, 0]
    parts = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    torch.testing.assert_close(torch.cat([result for result, _ in parts]), expected.detach())
    torch.testing.assert_close(torch.cat([gradient for _, gradient in parts]), whole.grad)


@pytest.mark.parametrize(("size", "start"), [(2, 0), (3, 12), (6, 18)])
def test_the_parts_of_each_batch_make_up_the_stream(size: int, start: int) -> None:
    stream = PositionSampler(10, seed=4, start=start)
    parts = [iter(BatchShare(stream, 6 // size, rank, size)) for rank in range(size)]
    together = [sample for _ in range(5) for part in parts for sample in islice(part, 6 // size)]
    assert together == list(islice(stream, 30))


# ------------------------------------------------------------------------------------------------- the stages


def weights(folder: Path) -> dict[str, Tensor]:
    with open_tensors(outputs(folder)["weights"], "weights") as shard:
        return {name: shard.get(name) for name in shard.keys()}  # noqa: SIM118


def single_stage(folder: Path, data: Mapping[str, Any]) -> Path:
    """With dropout, an encoder that rests at first and a decoder with batch norm that joins later."""
    train_single_stage.run(
        manifest=data["manifest"],
        kind="apc",
        network=APC,
        initial=RANDOM,
        training={**TRAINING, "epochs": 3, "batch": 4, "accumulate": 1},
        seed=1,
        **outputs(folder),
    )
    return folder


STAGES: Mapping[str, Callable[..., Path]] = {
    "classifier": partial(
        classify,
        network={**NANO, "drop_path": 0.1},
        # by gradient descent: the biases before its batch norms would grow by Adam, see STEADY
        training={**CLASSIFIER_TRAINING, "batch": 4, "optimizer": "sgd", "momentum": 0.9},
    ),
    "irn": partial(refine, network={**IRN, "displacement": True}, training={**IRN_TRAINING, "batch": 4}),
    "segmenter": segment,
    "apc": single_stage,
}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_network_trained_by_two_is_the_one_trained_by_one(tmp_path: Path, stage: str) -> None:
    data = make_labelled(tmp_path)
    folders = [tmp_path / name for name in ("one", "two")]
    STAGES[stage](folders[0], data)
    assert together(partial(STAGES[stage], folders[1], data)) == [0, 0]
    assert_same_curve(folders[1] / "history.csv", folders[0] / "history.csv")
    one, two = (torch.cat([value.double().flatten() for value in weights(path).values()]) for path in folders)
    assert (
        two - one
    ).norm() < TOLERANCE * one.norm()  # as a whole: Adam moves what has no gradient by its rate
    assert not list(folders[1].glob("work-*"))


# --------------------------------------------------------------------------------------------------- the rule

JOB = """
from pathlib import Path
from types import SimpleNamespace

from snakemake.iocontainers import Namedlist

snakemake = SimpleNamespace(**{job!r}, resources=Namedlist(fromdict={{"gpu": 2, "nodes": 1}}))
exec(compile(Path({stage!r}).read_text(), "run_stage.py", "exec"))
"""
ROOT = Path(__file__).parents[2]


def rule_of(training: Mapping[str, Any], folder: Path, data: Mapping[str, Any]) -> list[str]:
    """The command of a job that trains IRNet on two GPUs, which become two processes on the CPU."""
    params = {"code": "", "network": IRN, "initial": RANDOM, "training": training, "seed": 1}
    named = {"input": data, "output": outputs(folder), "params": params, "wildcards": {}}
    job = {
        **{key: {name: _plain(value) for name, value in group.items()} for key, group in named.items()},
        "rule": "train_irn",
        "log": [str(folder / "log")],
        "threads": 2,
        "config": {},
        "scriptdir": str(ROOT / "rules"),
    }
    script = folder / "job.py"
    script.write_text(JOB.format(job=job, stage=str(ROOT / "rules" / "run_stage.py")))
    return [sys.executable, str(script)]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def test_a_job_on_two_gpus_starts_two_processes_stops_in_time_and_goes_on(tmp_path: Path) -> None:
    data, training = make_labelled(tmp_path), {**IRN_TRAINING, "batch": 4, "epochs": 20}
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    shared.mkdir()
    job = subprocess.Popen(rule_of(training, shared, data), env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    while job.poll() is None and not steps_done(shared):
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=600) == 75
    log = (shared / "log").read_text()
    assert log.count("2 processes train together on the CPU") == 1  # the first alone reports
    assert "stopped by SIGTERM after iteration" in log
    assert 0 < steps_done(shared) < 40
    refine(shared, data, training=training)
    refine(whole, data, training=training)
    assert_close(weights(shared), weights(whole))
    assert_same_curve(shared / "history.csv", whole / "history.csv")
