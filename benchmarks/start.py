"""CPU seconds from a stage's start to its first work, by what the stage imports."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from wsss.workflow.fingerprint import module_of

ROOT = Path(__file__).parents[1]
REPEATS = 3
FAMILIES = (
    "mmseg",
    "mmengine",
    "timm",
    "torch",
    "matplotlib",
    "pandas",
    "numpy",
)  # the first that is imported names it
CODE = """
import sys
sys.path.insert(0, "rules")
import run_stage
run_stage.set_threads(1)
from wsss.runtime.imports import uncollected
with uncollected():
    import {module}
import time
print(time.process_time(), next(name for name in {families} if name in sys.modules))
"""


def main() -> None:
    """Print each family's stages and how long they take to start."""
    found = defaultdict(list)
    for path in sorted((ROOT / "wsss/stages").rglob("*.py")):
        if path.stem != "__init__":
            seconds, family = start(path.stem)
            found[family].append((seconds, path.stem))
    for family in reversed(FAMILIES):
        if stages := found[family]:
            middle = median(seconds for seconds, _ in stages)
            names = ", ".join(f"{name} {seconds:.1f}" for seconds, name in sorted(stages))
            print(f"{family}: {middle:.1f} s in the middle of {len(stages)}: {names}")


def start(stage: str) -> tuple[float, str]:
    """Least CPU seconds of a few starts, and the heaviest library that was imported."""
    code = CODE.format(module=module_of(stage, ROOT / "wsss"), families=FAMILIES)
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        for _ in range(REPEATS)
    ]
    words = [run.stdout.split() for run in runs]
    return min(float(seconds) for seconds, _ in words), words[0][1]


if __name__ == "__main__":
    main()
