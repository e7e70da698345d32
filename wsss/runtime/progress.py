"""How far a long loop is, for people: a bar in a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

LOG_SHARE = 0.1  # a log line at least every tenth of the work ...
LOG_SECONDS = 30.0  # ... and at least this often

log = logging.getLogger(__name__)


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
