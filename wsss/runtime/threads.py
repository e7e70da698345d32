"""How many threads a process computes with, whether or not it has torch, whose import takes seconds."""

from __future__ import annotations

import os
import sys

LIMITS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)  # read by torch and numpy when they start


def thread_count() -> int:
    """Threads of this process: torch's where it is imported, else those that it would take."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    return int(os.environ.get(LIMITS[0]) or len(os.sched_getaffinity(0)))


def limit_threads(count: int) -> None:
    """Compute with so many threads from here on, whatever is imported later."""
    os.environ |= dict.fromkeys(LIMITS, str(count))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
