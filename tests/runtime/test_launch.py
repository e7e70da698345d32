"""Starting the processes of a training, handing signals on, and ending them all when one has failed."""

import ast
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsss.runtime.launch import ADDRESS, RANK, SIZE, LaunchError, Place, launch, place

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Path]:
    """A file for the processes' program, which knows ``rank``, ``here`` and ``folder``."""
    path = tmp_path / "script.py"
    yield path
    assert not any(map(is_alive, tmp_path.glob("pid*")))


def is_alive(process: Path) -> bool:
    """Whether the process with the number in the file is more than a zombie."""
    try:
        return Path("/proc", process.read_text(), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def write(script: Path, program: str) -> list[str]:
    """The command that runs a program."""
    start = f"""
        import os, signal, sys, time
        from pathlib import Path
        from wsss.runtime.launch import follow_parent, place
        here = place()
        follow_parent()
        rank, folder = here.rank, Path({str(script.parent)!r})
        (folder / f"new{{rank}}").write_text(str(os.getpid()))
        (folder / f"new{{rank}}").rename(folder / f"pid{{rank}}")
    """
    script.write_text(textwrap.dedent(start) + textwrap.dedent(program))
    return [sys.executable, str(script)]


def wait_for(*paths: Path) -> None:
    end = time.monotonic() + 20
    while not all(path.exists() for path in paths):
        assert time.monotonic() < end, f"expected {paths}"
        time.sleep(0.01)


def test_a_process_by_itself_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIZE, raising=False)
    assert place() == Place(0, 0, 1, "") and place().leads


def test_each_process_knows_its_place(script: Path) -> None:
    launch(write(script, "(folder / f'place{rank}').write_text(repr(tuple(here)))"), 3)
    places = [ast.literal_eval((script.parent / f"place{rank}").read_text()) for rank in range(3)]
    addresses = {where[3] for where in places}
    assert [where[:3] for where in places] == [(0, 0, 3), (1, 1, 3), (2, 2, 3)]
    assert len(addresses) == 1 and addresses.pop().startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("sys.exit(3)", "process 1 of 3, .* ended with status 3, and the others were stopped"),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"process 1 of 3, .* was killed by signal 9 \(9 is also"),
    ],
)
def test_one_that_fails_ends_all_at_once(script: Path, end: str, message: str) -> None:
    start = time.monotonic()
    with pytest.raises(LaunchError, match=message):
        launch(write(script, f"{end} if rank == 1 else time.sleep(60)"), 3)
    assert time.monotonic() - start < 20


def test_the_one_that_was_killed_is_named_before_those_that_fail_without_it(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsss.runtime.launch.POLL", 2.0)  # both have ended at the first look
    with pytest.raises(LaunchError, match="process 1 of 2"):
        launch(write(script, "os.kill(os.getpid(), signal.SIGKILL) if rank else sys.exit(1)"), 2)


def test_sigterm_is_handed_on_and_the_first_may_take_longer_to_stop(script: Path) -> None:
    program = """
        def stop(*_):
            time.sleep(0.5 if rank == 0 else 0)
            (folder / f"stopped{rank}").touch()
            sys.exit(75)
        signal.signal(signal.SIGTERM, stop)
        (folder / f"ready{rank}").touch()
        time.sleep(60)
    """
    command = write(script, program)
    code = f"from wsss.runtime.launch import launch; launch({command!r}, 2)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_for(script.parent / "ready0", script.parent / "ready1")
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(timeout=20) == 75
    assert all((script.parent / f"stopped{rank}").exists() for rank in (0, 1))


def test_none_outlives_the_process_that_started_them(script: Path) -> None:
    code = f"from wsss.runtime.launch import launch; launch({write(script, SLEEP)!r}, 2)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    processes = [script.parent / f"pid{rank}" for rank in (0, 1)]
    wait_for(*processes)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while any(map(is_alive, processes)):
        assert time.monotonic() < end, "a process lives on"
        time.sleep(0.01)


SRUN = """
    #!/bin/sh
    # As srun: as many processes as --ntasks says, each with its number.
    while [ "${1#--}" != "$1" ]; do
        case $1 in --ntasks=*) size=${1#*=};; esac
        echo "$1" >> options
        shift
    done
    for rank in $(seq 0 $((size - 1))); do SLURM_PROCID=$rank SLURM_LOCALID=$((rank % 2)) "$@" & done
    wait
"""


def test_a_launcher_of_the_cluster_numbers_the_processes(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    srun = script.with_name("srun")
    srun.write_text(textwrap.dedent(SRUN).lstrip())
    srun.chmod(0o755)
    monkeypatch.chdir(script.parent)
    command = write(script, "(folder / f'place{rank}').write_text(repr(tuple(here)))")
    launch(command, 4, f"{srun} --nodes=2 --gpus=4")
    assert (script.parent / "options").read_text().split() == [
        "--nodes=2",
        "--gpus=4",
        "--ntasks=4",
        "--kill-on-bad-exit=1",
    ]
    places = [ast.literal_eval((script.parent / f"place{rank}").read_text()) for rank in range(4)]
    assert [where[:3] for where in places] == [(0, 0, 4), (1, 1, 4), (2, 0, 4), (3, 1, 4)]
    assert {where[3].split(":")[0] for where in places} == {os.uname().nodename}


def test_a_launcher_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LaunchError, match=r"false --nodes=2, .* ended with status 1"):
        launch(["true"], 2, "false --nodes=2")
    assert not {SIZE, RANK, ADDRESS} & set(os.environ)
