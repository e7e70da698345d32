"""CPU seconds that Snakemake takes to plan the large runs; no data are needed."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from wsss.artefacts.files import PACKAGED
from wsss.config.reading import read_mapping, resolved
from wsss.pretrained.files import starts
from wsss.pretrained.fit import SECTIONS, remember

ROOT = Path(__file__).parents[1]
TARGETS = {"results/voc/seg_miou.json": 6, "results/coco/seg_miou.json": 10, "results/voc/compare.html": 40}
# As little as passes for a file of weights of which planning remembers that it fits.
STAND_INS = {".pth": b"\x80", ".safetensors": b"\x02\0\0\0\0\0\0\0{}"}


def main() -> None:
    """Print jobs and seconds of each target."""
    with tempfile.TemporaryDirectory() as name:
        lay_weights(Path(name))
        for target, goal in TARGETS.items():
            jobs, seconds = plan(Path(name), target)
            print(f"{target}: {jobs} jobs, {seconds:.1f} CPU seconds (goal {goal})")


def lay_weights(folder: Path) -> None:
    """Lay a stand-in for each file of initial weights, for planning refuses a run that lacks one."""
    config = resolved(read_mapping(ROOT / "config.yaml"))
    variants = [(section, one) for section in SECTIONS for one in config[section].values()]
    trained = [(section, variant) for section, variant in variants if "initial" in variant]
    named = {start.initial.get("file") for _, variant in trained for start in starts(variant)}
    with contextlib.chdir(folder):
        for file in (Path(file) for file in named if file and not file.startswith(PACKAGED)):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(STAND_INS[file.suffix])
        for section, variant in trained:
            remember(section, variant)


def plan(folder: Path, target: str) -> tuple[int, float]:
    """Number of jobs of a target, and the seconds of its plan."""
    options = ["-n", "--quiet", "rules", "--cores", "2", "--directory", str(folder), "--", target]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    planned = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *options],
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = re.search(r"(?m)^total +(\d+)", planned.stdout + planned.stderr)
    if planned.returncode or total is None:
        raise RuntimeError(f"{target} was not planned:\n{planned.stdout}{planned.stderr}")
    return int(total[1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
