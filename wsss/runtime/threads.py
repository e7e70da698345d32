"""How many threads a process computes with, whether or not it has torch, whose import takes seconds."""

from __future__ import annotations

import os
import sys

# Read by torch and numpy when they start.
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def thread_count() -> int:
    """Threads of this process: torch's where it is imported, else its limit, or a thread a core."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    if limit := os.environ.get(LIMITS[0]):
        return int(limit.partition(",")[0])  # of nested levels the first
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(count: int) -> None:
    """Compute with so many threads; ask again once torch is imported, which takes one a core at most."""
    os.environ |= dict.fromkeys(LIMITS, str(count))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
