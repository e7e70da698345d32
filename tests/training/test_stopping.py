"""SIGTERM: a training saves its state and leaves with its own exit code; its loading processes outlive it."""

import importlib.util
import logging
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.support.toy_training import fit, state_bytes, toy_losses
from tests.support.training_processes import FORK
from wsss.artefacts.files import atomic_file
from wsss.training import STOPPED, Schedule, Stopped, engine
from wsss.training.stopping import obey_parent_only, sigterm_noted

ROOT = Path(__file__).parents[2]
RARELY = Schedule(iterations=12, batch=4, accumulate=2, checkpoints=1)


def terminator(passes: int) -> Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]:
    """The toy's losses; the given forward pass sends SIGTERM to its own process."""
    left = iter(range(passes - 1))

    def losses(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGTERM)
        return toy_losses(network, batch)

    return losses


@pytest.mark.parametrize(("passes", "iteration"), [(1, 1), (4, 2), (5, 3), (24, 12)])
def test_sigterm_ends_a_training_after_the_iteration_with_a_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, passes: int, iteration: int
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stopped:
        fit(tmp_path / "stopped", RARELY, losses=terminator(passes))
    assert stopped.value.code == STOPPED == os.EX_TEMPFAIL
    message = f"stopped by SIGTERM after iteration {iteration}; run the same command to go on"
    assert caplog.record_tuples[-1] == ("wsss.training", logging.WARNING, message)
    assert signal.getsignal(signal.SIGTERM) == before
    saved = [path.name for path in (tmp_path / "stopped/work").glob("*.pth")]
    assert saved == [f"iteration-{iteration:08d}.pth"]
    assert not (tmp_path / "stopped/history.csv").exists()

    resumed, whole = fit(tmp_path / "stopped", RARELY), fit(tmp_path / "whole", RARELY)
    assert state_bytes(resumed) == state_bytes(whole)
    history = [(tmp_path / name / "history.csv").read_bytes() for name in ("stopped", "whole")]
    assert history[0] == history[1]


def test_the_process_exits_with_the_code(tmp_path: Path) -> None:
    process = FORK.Process(target=fit, args=(tmp_path, RARELY), kwargs={"losses": terminator(5)})
    process.start()
    process.join()
    assert process.exitcode == STOPPED


def test_outside_the_main_thread_a_training_installs_no_handler(tmp_path: Path) -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(fit(tmp_path, RARELY)))
    thread.start()
    thread.join()
    assert len(results) == 1


def test_the_request_stands_once_the_signal_came() -> None:
    with sigterm_noted() as request:
        assert not request.stands()
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.stands()


def load(ready: Event) -> None:
    obey_parent_only(0)
    ready.set()
    time.sleep(60)


def test_a_loading_process_ends_for_its_parent_only() -> None:
    ready = FORK.Event()
    process = FORK.Process(target=load, args=(ready,))
    process.start()
    assert ready.wait(10)
    subprocess.run(["sh", "-c", f"kill -TERM {process.pid}"], check=True)
    process.join(timeout=0.3)
    assert process.is_alive()
    process.terminate()
    process.join(timeout=10)
    assert process.exitcode == 0


def train_with_loading_processes(folder: Path) -> None:
    """As a job on a cluster with a GPU: a group of processes, all of which the scheduler signals."""
    os.setsid()

    def losses(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if not list((folder / "work").glob("signalled")):
            (folder / "work" / "signalled").touch()
            subprocess.run(["sh", "-c", f"kill -TERM -{os.getpid()}"], start_new_session=True, check=True)
            time.sleep(0.1)  # long enough for a loading process to die, and for torch to notice
        return toy_losses(network, batch)

    engine.DataLoader = lambda *files, **options: DataLoader(*files, **{**options, "num_workers": 2})
    fit(folder, RARELY, losses=losses)


def test_sigterm_to_all_processes_of_a_job_ends_the_training_in_good_order(tmp_path: Path) -> None:
    process = FORK.Process(target=train_with_loading_processes, args=(tmp_path / "job",))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == STOPPED
    assert [path.name for path in (tmp_path / "job/work").glob("*.pth")] == ["iteration-00000001.pth"]
    assert state_bytes(fit(tmp_path / "job", RARELY)) == state_bytes(fit(tmp_path / "whole", RARELY))


def test_bash_waits_for_the_stage_that_it_was_signalled_with() -> None:
    """The Snakefile's prefix of every command."""
    (prefix,) = re.findall(r'shell\.prefix\("(.*)"\)', (ROOT / "Snakefile").read_text())
    stage = "trap 'sleep 0.1; exit 75' TERM; kill -TERM 0; sleep 5 & wait"
    command = ["bash", "-c", f"{prefix} sh -c {shlex.quote(stage)}"]
    assert subprocess.run(command, start_new_session=True).returncode == STOPPED


# --------------------------------------------------------------------------------------------- other stages


def write_for_ever(path: Path, ready: Event) -> None:
    spec = importlib.util.spec_from_file_location("run_stage", ROOT / "rules" / "run_stage.py")
    assert spec and spec.loader
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    runner.leave_at_sigterm("paint")
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        ready.set()
        time.sleep(60)


def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    ready = FORK.Event()
    process = FORK.Process(target=write_for_ever, args=(tmp_path / "artefact", ready))
    process.start()
    assert ready.wait(10)
    assert list(tmp_path.iterdir())
    process.terminate()
    process.join(timeout=10)
    assert process.exitcode == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
