"""Starts the processes that share a training among them, and says in each of them which one it is.

The job's own process only starts the others and waits for them: on this machine by itself, on several nodes
through the launcher of the cluster. Imports no torch, so that the waiting process stays small.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

POLL = 0.1  # seconds between two looks at the processes
STOPS = (os.EX_TEMPFAIL, 128 + signal.SIGTERM)  # of a training that saved its state, and before it could
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # else each warns that looking for parameters that rest takes time
GRACE = 60.0  # seconds for the others to end as well, once one has stopped because it was asked to
SIZE, RANK, LOCAL_RANK, ADDRESS = "WSSS_SIZE", "WSSS_RANK", "WSSS_LOCAL_RANK", "WSSS_ADDRESS"


class LaunchError(RuntimeError):
    """A training whose processes could not go on together; the message says which one ended, and how."""


class Place(NamedTuple):
    """One process among those that share a training.

    Attributes:
        rank: Its number, from 0; the first one leads: it alone writes files and reports progress.
        local_rank: Its number among those on its machine.
        size: How many there are.
        address: ``host:port`` where they meet; empty for a process on its own.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1
    address: str = ""

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0


def place() -> Place:
    """This process's place; a process that :func:`launch` did not start is on its own."""
    environment = os.environ
    if SIZE not in environment:
        return Place()
    rank = environment.get(RANK) or environment["SLURM_PROCID"]
    local_rank = environment.get(LOCAL_RANK) or environment["SLURM_LOCALID"]
    return Place(int(rank), int(local_rank), int(environment[SIZE]), environment[ADDRESS])


def launch(command: Sequence[str], size: int, launcher: str | None = None) -> None:
    """Run a command in several processes at once and wait for all of them.

    SIGTERM is handed on. When one process fails the others, who would wait for it, are killed; when this one
    dies they end by themselves.

    Args:
        command: What each process runs.
        size: How many.
        launcher: The cluster's own launcher, ``srun`` with its options, which starts them on the nodes of the
            job; None starts them here.

    Raises:
        LaunchError: One of them failed.
        SystemExit: They stopped before the end because they were asked to, with their common status.
    """
    host = socket.gethostname() if launcher else "127.0.0.1"
    shared = QUIET | os.environ | {SIZE: str(size), ADDRESS: f"{host}:{_free_port()}"}
    started: dict[str, subprocess.Popen[bytes]] = {}
    with _handed_on(signal.SIGTERM, started):
        try:
            if launcher:
                started[launcher] = _start_by(launcher, command, size, shared)
            else:
                for rank in range(size):
                    started[f"process {rank} of {size}"] = _start(command, rank, shared)
            _wait(started)
        finally:
            for process in started.values():
                process.kill()
                process.wait()


def follow_parent() -> None:
    """End this process as soon as its parent is gone, if it is one that :func:`launch` started itself."""
    if RANK in os.environ:
        threading.Thread(target=_end_with_input, daemon=True).start()


def _end_with_input() -> None:
    os.read(0, 1)  # never anything to read: it returns when the parent's end closes
    os.kill(os.getpid(), signal.SIGKILL)


def _start(command: Sequence[str], rank: int, shared: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environment = {**shared, RANK: str(rank), LOCAL_RANK: str(rank)}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)


def _start_by(
    launcher: str, command: Sequence[str], size: int, shared: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start the launcher, which numbers the processes, and ends all when one fails."""
    options = [f"--ntasks={size}", "--kill-on-bad-exit=1"]
    whole = [*shlex.split(launcher), *options, *command]
    return subprocess.Popen(whole, env=shared, stdin=subprocess.DEVNULL)


def _wait(started: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Return when all have ended well; raise as soon as one has not."""
    while True:
        codes = {name: process.poll() for name, process in started.items()}
        # One that was killed comes first: the others then fail because it is gone.
        failed = sorted((code, name) for name, code in codes.items() if code)
        if failed:
            raise _failure(started, *failed[0])
        if all(code == 0 for code in codes.values()):
            return
        time.sleep(POLL)


def _failure(started: Mapping[str, subprocess.Popen[bytes]], code: int, name: str) -> BaseException:
    if code in STOPS:
        _let_end(started)
        return SystemExit(code)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    cause = " (9 is also what a lack of memory ends with)" if code == -signal.SIGKILL else ""
    return LaunchError(
        f"{name}, of those that share this training, {how}{cause}, and the others were stopped; what they "
        "said stands above and in the log. Fix it and run the same command to go on"
    )


def _let_end(started: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Wait for those that stop as well: one of them writes a checkpoint."""
    end = time.monotonic() + GRACE
    for process in started.values():
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))


@contextmanager
def _handed_on(number: signal.Signals, started: Mapping[str, subprocess.Popen[bytes]]) -> Iterator[None]:
    """Send a signal that arrives while the block runs to all that was started."""

    def hand_on(*_: object) -> None:
        for process in list(started.values()):
            process.send_signal(number)

    before = signal.signal(number, hand_on)
    try:
        yield
    finally:
        signal.signal(number, before)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
    return port
