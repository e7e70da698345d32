"""Real processes that are killed: forks of the test's own, which have every import behind them."""

import os
import signal
import traceback
from collections.abc import Callable

NAMING = ("replace", "rename", "link", "unlink", "rmdir")  # all that give or take a file's name


def fork(work: Callable[[], object]) -> int:
    """Run ``work`` in a child process; returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """Wait for a child; its exit status, or the negated number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_this() -> None:
    """End this process as ``kill -9`` does: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(step: int, work: Callable[[], object], *functions: str) -> bool:
    """Run ``work`` in a child that is killed before it changes a folder for the ``step``-th time.

    Args:
        step: From 0.
        work: What to run.
        *functions: Names of the functions in ``os`` that count; by default :data:`NAMING`.

    Returns:
        False if it came to its end before; it must have succeeded then.
    """

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **keywords: object) -> object:
            left.pop() if left else kill_this()
            return function(*args, **keywords)

        return call

    left = [None] * step

    def patched() -> None:
        for name in functions or NAMING:
            setattr(os, name, counted(getattr(os, name)))
        work()

    status = ended(fork(patched))
    assert status in (0, -signal.SIGKILL)
    return status != 0
