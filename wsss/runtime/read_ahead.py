"""Reading ahead: what comes next is fetched while the present is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], count: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Apply a function to items in a thread, a few items ahead.

    Args:
        function: What reads; decoding a picture leaves Python's lock alone.
        items: What to read.
        count: How many results may wait.

    Yields:
        Each item with its future, whose ``result()`` waits, and raises what the function raised.
    """
    source = iter(items)
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting = deque((item, thread.submit(function, item)) for item in islice(source, count))
        while waiting:
            yield waiting.popleft()
            waiting.extend((item, thread.submit(function, item)) for item in islice(source, 1))
