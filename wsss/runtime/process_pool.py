"""An ordered pool of processes for work on a stream."""

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from wsss.runtime.threads import limit_threads

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Apply a function to each item in forked worker processes; results come in the order of the items.

    Items are taken from the iterable only as workers come free, so that a stream (a network's outputs, say)
    is worked on while it is being produced and never piles up in memory. The results do not depend on
    ``workers``. Hand over arrays rather than tensors, which would travel through shared memory.

    Args:
        function: A module-level function, or a ``functools.partial`` of one; runs with one thread.
        items: What to apply it to; consumed lazily in this process.
        workers: Number of processes; 1 or less works in this process.

    Yields:
        ``function(item)`` for each item. An exception in a worker is raised here.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(os.getpid(),))
    try:
        yield from _ordered(pool, function, iter(items), 2 * workers)
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process was killed, most likely for lack of memory; give the job more memory "
            "or fewer threads"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _ordered(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], items: Iterator[Item], window: int
) -> Iterator[Result]:
    pool.submit(int).result()  # fork now: before the items' source opens files or starts threads
    waiting: deque[Future[Result]] = deque(
        pool.submit(function, item) for item in itertools.islice(items, window)
    )
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(function, item) for item in itertools.islice(items, 1))


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # its parent alone has files to tidy up
    limit_threads(1)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    """End this process when its parent is gone: a killed one cannot tell, and workers wait forever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
