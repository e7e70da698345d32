"""Timing and reporting for the benchmark scripts."""

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def timed(function: Callable[[], Result], repeats: int = 1) -> tuple[float, Result]:
    """Median seconds over ``repeats`` calls after one that does not count (none before a single call)."""
    if repeats > 1:
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def report(what: str, ours: float, plain: float, difference: float) -> None:
    """Print one line of the comparison."""
    ratio = f"ratio {plain / ours:.1f}"
    print(f"{what}: ours {ours:.4g} s, plain {plain:.4g} s, {ratio}, relative difference {difference:.1e}")
