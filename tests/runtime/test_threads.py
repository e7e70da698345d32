"""Threads of a process that may or may not have imported torch."""

import os
import subprocess
import sys

import pytest
import torch

from wsss.runtime.threads import LIMITS, limit_threads, thread_count


def told(code: str, limit: str) -> list[str]:
    """What a fresh process prints that was started with a limit."""
    variables = dict.fromkeys(LIMITS, limit)
    start = f"import os; os.environ |= {variables}; from wsss.runtime.threads import *; import sys; "
    result = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=True)
    return result.stdout.split()


@pytest.mark.parametrize(("limit", "expected"), [("3", "3"), ("2,1", "2")])
def test_without_torch_it_is_the_limit_that_the_process_was_started_with(limit: str, expected: str) -> None:
    assert told("print(thread_count(), 'torch' in sys.modules)", limit) == [expected, "False"]


def test_a_limit_holds_once_torch_is_imported_also_above_the_number_of_cores() -> None:
    """By itself torch takes no more threads than there are cores, and another number rounds otherwise."""
    wanted = (os.cpu_count() or 1) + 1
    code = f"limit_threads({wanted}); import torch; limit_threads({wanted}); print(torch.get_num_threads())"
    assert told(code, "1") == [str(wanted)]


def test_where_torch_is_imported_its_own_number_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIMITS:
        monkeypatch.setenv(name, "7")
    before = torch.get_num_threads()
    assert thread_count() == before
    limit_threads(before)
    assert thread_count() == before
