"""The smallest systems' run, killed with SIGKILL again and again, still ends in the same bytes."""

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.support.tiny_run import artefacts, session_checkout, tiny_command, tiny_run

pytestmark = pytest.mark.slow

KILLS = 30
SEED = 4  # of the moments
KILLED_PART = 0.8  # of the jobs have kills around them, so that the last one meets a run that still has work
JOB = 1.6  # what a job takes, in times that Snakemake takes to start: the moments follow the machine's speed
PATIENCE = 900.0  # seconds


class Session(NamedTuple):
    """One start of Snakemake: jobs it had to do and did, rules it was running when it was killed."""

    left: int
    done: int
    running: tuple[str, ...]


class Killed(NamedTuple):
    """A run that was killed: its folder, its sessions, and what was printed in between."""

    folder: Path
    sessions: list[Session]
    locked: str
    lost_job: str


def session(output: str) -> Session:
    """Read what Snakemake printed; before its first job nothing is left and done."""
    total = re.search(r"(?m)^total +(\d+)", output)
    started = re.findall(r"(?m)^(?:local)?rule (\w+):$", output)
    done = max((int(steps) for steps in re.findall(r"(\d+) of \d+ steps", output)), default=0)
    return Session(int(total[1]) if total and started else 0, done, tuple(started[done:]))


class Run:
    """The smallest systems' run in a folder of its own, started over and over."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self.folder = checkout, folder
        self.chance = random.Random(SEED)
        self.starts = 0

    def start(self, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start Snakemake as the leader of a process group; returns it and the file that it prints to."""
        self.starts += 1
        output = self.folder / f"output{self.starts}.txt"
        with output.open("w") as file:
            parts = tiny_command(self.checkout, self.folder, *options)
            process = subprocess.Popen(
                parts, cwd=self.folder, stdout=file, stderr=file, start_new_session=True
            )
        return process, output

    def finish(self, *options: str) -> tuple[int, str]:
        """Run to the end; returns the exit status and what was printed."""
        process, output = self.start(*options)
        return process.wait(PATIENCE), output.read_text()

    def kill(self, left: int, *options: str) -> Session:
        """Start, wait until no more jobs than ``left`` are left, then kill the group at a random moment."""
        began = time.monotonic()
        process, output = self.start(*options)
        self._wait(process, output, left=sys.maxsize)
        job = JOB * (time.monotonic() - began)
        self._wait(process, output, left)
        time.sleep(self.chance.uniform(0, job))
        assert process.poll() is None, output.read_text()
        members = [process, *psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        eventually(lambda: not any(alive(member.pid) for member in members))
        return session(output.read_text())

    def kill_job(self) -> str:
        """Start, kill the process of the first job, not Snakemake's; returns what was then printed."""
        process, output = self.start("--nolock")
        eventually(lambda: bool(scripts(process.pid)))
        scripts(process.pid)[0].kill()
        assert process.wait(PATIENCE) == 1
        return output.read_text()

    def _wait(self, process: subprocess.Popen[bytes], output: Path, left: int) -> None:
        def reached() -> bool:
            assert process.poll() is None, output.read_text()
            seen = session(output.read_text())
            return seen.left > 0 and seen.left - seen.done <= left

        eventually(reached)


def scripts(pid: int) -> list[psutil.Process]:
    """The processes below Snakemake that run a stage; a shell waits for each."""
    below = psutil.Process(pid).children(recursive=True)
    return [process for process in below if is_script(process)]


def is_script(process: psutil.Process) -> bool:
    """Whether a process is Python with the script of a rule."""
    try:
        return process.name().startswith("python") and process.cmdline()[-1].endswith("run_stage.py")
    except (psutil.NoSuchProcess, IndexError):
        return False


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and that nobody has waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """The run, killed ``KILLS`` times all along the way and then finished."""
    place = tmp_path_factory.mktemp("killed")
    run = Run(session_checkout(tmp_path_factory), place)
    sessions = [run.kill(left=sys.maxsize)]
    status, locked = run.finish()
    assert status != 0
    assert run.finish("--unlock")[0] == 0
    jobs = sessions[0].left
    lost_job = run.kill_job()
    for number in range(1, KILLS):
        left = jobs - int(jobs * KILLED_PART * number / KILLS)
        sessions.append(run.kill(left, "--nolock"))
    status, output = run.finish("--nolock")
    assert status == 0, output[-5000:]
    return Killed(place, [*sessions, session(output)], locked, lost_job)


def test_a_run_killed_thirty_times_ends_in_the_same_bytes(
    killed: Killed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found, expected = artefacts(killed.folder), artefacts(tiny_run(tmp_path_factory).folder)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
    assert len(killed.sessions) == KILLS + 1


def test_the_kills_met_many_stages(killed: Killed) -> None:
    met = {rule for one in killed.sessions[:-1] for rule in one.running}
    assert len(met) > 8


def test_nothing_finished_is_computed_again(killed: Killed) -> None:
    for before, after in itertools.pairwise(killed.sessions):
        assert after.left <= before.left - before.done


def test_a_killed_run_leaves_its_folder_locked(killed: Killed, quoted: Callable[[str], None]) -> None:
    quoted(killed.locked)


def test_a_killed_job_ends_the_run(killed: Killed, quoted: Callable[[str], None]) -> None:
    quoted(killed.lost_job)
