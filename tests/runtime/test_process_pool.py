import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.processes import ended, fork, kill_this
from wsss.artefacts.files import Unwritten
from wsss.runtime.device import device
from wsss.runtime.process_pool import parallel_map
from wsss.runtime.progress import progress


def square(value: int) -> int:
    return value * value


def fail_at_three(value: int) -> int:
    if value == 3:
        raise ValueError("item 3 is bad")
    return value


def find_the_disk_full(value: int) -> None:
    raise Unwritten(f"{value}.png", "No space left on device", 28)


def die(_: int) -> None:
    os._exit(9)


def process_and_threads(_: int) -> tuple[int, int]:
    return os.getpid(), torch.get_num_threads()


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_parallel_map_keeps_the_order(workers: int) -> None:
    assert list(parallel_map(square, range(20), workers)) == [value * value for value in range(20)]


def test_parallel_map_takes_items_only_as_workers_come_free() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for value in range(100):
            taken.append(value)
            yield value

    results = parallel_map(square, source(), 2)
    assert next(results) == 0
    assert len(taken) <= 5
    results.close()


def test_parallel_map_raises_what_a_worker_raised() -> None:
    with pytest.raises(ValueError, match="item 3 is bad"):
        list(parallel_map(fail_at_three, range(10), 2))


def test_what_a_worker_cannot_write_is_told_plainly() -> None:
    with pytest.raises(Unwritten, match=r"^0\.png: cannot be written \(No space left on device\)") as full:
        list(parallel_map(find_the_disk_full, range(2), 2))
    assert (full.value.reason, full.value.errno) == ("No space left on device", 28)


def test_a_killed_worker_is_told_plainly() -> None:
    with pytest.raises(RuntimeError, match="worker process was killed"):
        list(parallel_map(die, range(10), 2))


def test_workers_are_other_processes_with_one_thread() -> None:
    results = list(parallel_map(process_and_threads, range(6), 2))
    assert all(process != os.getpid() and threads == 1 for process, threads in results)


def test_progress_passes_items_and_logs_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert list(progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert "letters: 3 of 3" in caplog.text


def test_device_is_usable() -> None:
    assert torch.ones(2, device=device()).sum() == 2


def is_running(process: str) -> bool:
    """Whether a process is there and no zombie, which has no command line."""
    try:
        return bool(Path("/proc", process, "cmdline").read_bytes())
    except OSError:
        return False


def slow(_: int) -> None:
    time.sleep(60)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    def parent() -> None:
        threading.Thread(target=lambda: list(parallel_map(slow, range(2), 2)), daemon=True).start()
        while len(multiprocessing.active_children()) < 2:
            time.sleep(0.01)
        workers = [str(child.pid) for child in multiprocessing.active_children()]
        (tmp_path / "workers").write_text(" ".join(workers))
        kill_this()

    assert ended(fork(parent)) == -9
    workers = (tmp_path / "workers").read_text().split()
    assert len(workers) == 2
    deadline = time.monotonic() + 10
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline, "orphaned workers go on"
        time.sleep(0.1)
