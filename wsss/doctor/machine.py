"""What the machine has: Python, the packages, GPUs and their driver."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from wsss.config.reading import ROOT
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict, gigabytes, listed

NAMED = ("torch", "timm", "mmengine", "snakemake", "snakemake-executor-plugin-slurm")
SECONDS = 8  # for a tool that should answer at once
MIB = 2**20
BUSY = 0.5  # share of a GPU's memory that others hold before it is worth a warning
INSTALL = "run `make install`"


def check_packages(distribution: str = "wsss", pins: Path = ROOT / "constraints.txt") -> Verdict:
    """Whether Python and all packages are there, in the versions asked for and those of the pins."""
    if installed(distribution) is None:
        return Verdict(ERROR, "packages", f"{distribution} is not installed", INSTALL)
    python, supported = platform.python_version(), metadata.metadata(distribution)["Requires-Python"]
    if Version(python) not in SpecifierSet(supported or ""):
        found = f"expected Python {supported}, found {python}"
        return Verdict(ERROR, "packages", found, f"install it, then {INSTALL}")
    if unfit := [text for _, text in _unfit(metadata.requires(distribution) or [])]:
        return Verdict(ERROR, "packages", f"expected {listed(unfit, 5)}", INSTALL)
    lines = pins.read_text(encoding="utf-8").splitlines() if pins.is_file() else []
    if others := [text for there, text in _unfit(lines) if there]:
        fix = f"{INSTALL}; other versions may round otherwise"
        return Verdict(WARNING, "packages", f"other than {pins.name} pins: {listed(others, 5)}", fix)
    named = ", ".join(f"{name} {installed(name)}" for name in NAMED)
    return Verdict(OK, "packages", f"Python {python}, {named}")


def _unfit(requirements: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """The requirements that are not met: whether the package is there, and what was found, in words."""
    for requirement in map(Requirement, filter(None, requirements)):
        found = installed(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if found is None:
            yield False, f"{requirement.name} (not installed)"
        elif not requirement.specifier.contains(found, prereleases=True):
            yield True, f"{requirement.name}{requirement.specifier} (found {found})"


def installed(name: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def gpu_names() -> list[str]:
    """The GPUs of this machine."""
    return (ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "").splitlines()


def check_gpus() -> list[Verdict]:
    """The GPUs of this machine, and whether their driver serves torch."""
    queried = ask("nvidia-smi", "--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits")
    if queried is None:
        fix = "enough for the sample and to submit jobs; elsewhere install NVIDIA's driver"
        return [Verdict(WARNING, "GPU", "none found by nvidia-smi: jobs started here use the CPU", fix)]
    rows = [line.split(", ") for line in queried.splitlines() if line.count(", ") == 2]
    return [*_gpus(rows), check_driver(ask("nvidia-smi") or "", torch_cuda())]


def _gpus(rows: list[list[str]]) -> Iterator[Verdict]:
    """A line for all GPUs, and one for each that others use."""
    if not rows:
        yield Verdict(ERROR, "GPU", "nvidia-smi answers and lists none", "reboot or fix the driver")
        return
    shown = listed([f"{name} {_in_words(total)}" for name, total, _ in rows], 8)
    hint = f"; --resources gpu={len(rows)} runs a job on each" if len(rows) > 1 else ""
    yield Verdict(OK, "GPU", f"{len(rows)}: {shown}{hint}")
    for number, (_, total, used) in enumerate(rows):
        if total.isdigit() and used.isdigit() and int(used) > BUSY * int(total):
            found = f"GPU {number} has {_in_words(used)} of its memory in use"
            yield Verdict(WARNING, "GPU", found, "wait, or leave it out of CUDA_VISIBLE_DEVICES")


def _in_words(mib: str) -> str:
    """Memory as nvidia-smi tells it, which is ``[N/A]`` on some kinds of GPU."""
    return gigabytes(int(mib) * MIB) if mib.isdigit() else "of unknown memory"


def check_driver(overview: str, built_for: str | None) -> Verdict:
    """Whether the driver serves the CUDA that torch was built for.

    Args:
        overview: What ``nvidia-smi`` prints without arguments.
        built_for: Version of CUDA; None for a torch without any.
    """
    driver = re.search(r"Driver Version: *([\d.]+)", overview)
    serves = re.search(r"CUDA[\w ]* Version: *([\d.]+)", overview)
    name = f"driver {driver[1] if driver else 'unknown'}"
    if built_for is None:
        return Verdict(ERROR, "driver", f"{name}; torch is built without CUDA", INSTALL)
    if serves is None:
        found = f"{name}; nvidia-smi names no CUDA version"
        return Verdict(WARNING, "driver", found, f"torch needs {built_for}")
    found = f"{name} for CUDA {serves[1]}, torch {installed('torch')} is built for {built_for}"
    if Version(serves[1]).major >= Version(built_for).major:  # later minor versions are compatible
        return Verdict(OK, "driver", found)
    fix = f"install a driver for CUDA {Version(built_for).major} or later, or a torch built for {serves[1]}"
    return Verdict(ERROR, "driver", found, fix)


def torch_cuda() -> str | None:
    """The version of CUDA that the installed torch is built for, read without importing it."""
    files = [path for path in metadata.files("torch") or [] if str(path) == "torch/version.py"]
    found = re.search(r"^cuda\b.*= *'([\d.]+)'", files[0].read_text(), re.MULTILINE) if files else None
    return found[1] if found else None


def ask(*command: str) -> str | None:
    """What a tool prints; None if it is not there, fails or keeps silent."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
