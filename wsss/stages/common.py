"""What the stages share: loading a network, progress reports, an ordered process pool."""

import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import torch
from torch import nn
from tqdm import tqdm

from wsss.artefacts import ArtefactError, Manifest, PathLike, open_tensors
from wsss.device import device

Item = TypeVar("Item")
Result = TypeVar("Result")
Network = TypeVar("Network", bound=nn.Module)

LOG_SHARE = 0.1  # a log line at least every tenth of the work ...
LOG_SECONDS = 30.0  # ... and at least this often

log = logging.getLogger(__name__)


def load_network(network: Network, weights: PathLike, manifest: Manifest) -> Network:
    """Fill a network from a weights artefact made for the same classes, for inference on this job's device.

    Args:
        network: Built from the configuration; every parameter and buffer must be in the file, and no other.
        weights: The artefact of the network's training.
        manifest: The data set it is to be used on.

    Returns:
        The network in evaluation mode, on :func:`wsss.device.device`.
    """
    with open_tensors(weights, "weights") as shard:
        trained_for = shard.params.get("classes")
        if trained_for != list(manifest.classes):
            raise ArtefactError(
                f"{weights}: expected a network for the classes {list(manifest.classes)} of "
                f"{manifest.dataset!r}, found one for {trained_for}; train it on this data set"
            )
        state = {key: shard.get(key) for key in shard.keys()}  # noqa: SIM118 (not a mapping)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ArtefactError(
            f"{weights}: does not fit the configured network ({error}); it was trained with another "
            "configuration, remove it and run again"
        ) from error
    return network.eval().to(device())


def progress(iterable: Iterable[Item], total: int, desc: str) -> Iterator[Item]:
    """Pass items through and show how far the loop is: a bar in a terminal, plain log lines otherwise.

    Args:
        iterable: The items.
        total: How many items there will be.
        desc: What is being done, for the reader of the log.

    Yields:
        The items, unchanged.
    """
    if sys.stderr.isatty():
        yield from tqdm(iterable, total=total, desc=desc)
    else:
        yield from _log_lines(iterable, total, desc)


def _log_lines(iterable: Iterable[Item], total: int, desc: str) -> Iterator[Item]:
    start = last = time.monotonic()
    stride = max(1, round(total * LOG_SHARE))
    for done, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if done % stride == 0 or done == total or now - last > LOG_SECONDS:
            last = now
            left = (now - start) / done * max(total - done, 0)
            log.info("%s: %d of %d, %.0f s so far, about %.0f s left", desc, done, total, now - start, left)


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
    torch.set_num_threads(1)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    """End this process when its parent is gone: a killed one cannot tell, and workers wait for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
