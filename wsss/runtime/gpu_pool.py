"""Which GPUs a job may use: a pool of the machine's devices, kept by file locks.

Jobs that run side by side each take devices of their own, also where several runs share the machine. A taken
device is a lock that the kernel drops when its process ends, however that happens. A user's runs share a pool
if they have the same folder for temporary files. Imports no torch, which must not see a device before.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

POLL = 0.2  # seconds between two looks at devices that are all taken
LISTING = 60  # seconds in which nvidia-smi must answer; it may have to load the driver first
DEVICE = re.compile(r"\d+|(GPU|MIG)-.+")  # what CUDA takes for a device: its number, or a unique name
Found = TypeVar("Found")

log = logging.getLogger(__name__)


class GpuError(ValueError):
    """GPUs that this machine can't give to a job; the message says which, and the fix."""


def claim(count: int, jobs_per_gpu: int = 1) -> list[str]:
    """Take devices for as long as this process lives; waits until they are free.

    Inside a SLURM job only its own devices are shared out, among what runs in that job, whatever other jobs
    on the node call theirs. What asks for all of them, or for other nodes' too, has them without a lock.

    Args:
        count: Devices that the job needs, 1 or more; it takes all or none, so no two wait for each other.
        jobs_per_gpu: Jobs that may share a device; a job's devices are different ones, the least used first.

    Returns:
        The devices' names for ``CUDA_VISIBLE_DEVICES``, in the order in which this process sees them; none if
        the machine shows none.

    Raises:
        GpuError: If the machine shows fewer devices than the job needs, or there is no folder for locks.
    """
    devices = visible_devices()
    slurm_job = os.environ.get("SLURM_JOB_ID")
    if not devices or (slurm_job and count >= len(devices)):
        return devices
    if count > len(devices):
        raise GpuError(
            f"expected {count} GPUs for this job, found {len(devices)} ({', '.join(devices)}): ask for fewer "
            "in the configuration, or show more in CUDA_VISIBLE_DEVICES"
        )
    pool = _folder() / (f"job{slurm_job}" if slurm_job else "machine")
    pool.mkdir(exist_ok=True)
    return _wait_for(pool, devices, count, jobs_per_gpu)


def visible_devices() -> list[str]:
    """Names of the devices that this process may use: of ``CUDA_VISIBLE_DEVICES`` if set, else all."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return _listed_devices() if chosen is None else _named_devices(chosen)


def _named_devices(names: str) -> list[str]:
    """As CUDA reads its variable: the names before the first that is none, each once."""
    devices: list[str] = []
    for name in map(str.strip, names.split(",")):
        if not DEVICE.fullmatch(name):
            break
        devices.append(name)
    return list(dict.fromkeys(devices))


def _listed_devices() -> list[str]:
    """All devices that the driver's own tool lists, none where it is missing or fails.

    They are numbers, as people write them; where a GPU is divided (MIG), the unique names: its parts have no
    others.
    """
    try:
        command = ["nvidia-smi", "--list-gpus"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LISTING, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = [re.findall(r"UUID: ([^)]+)", text) for text in re.split(r"^GPU ", done.stdout, flags=re.M)[1:]]
    if all(len(names) == 1 for names in gpus):
        return [str(index) for index in range(len(gpus))]
    return list(chain.from_iterable(parts or [whole] for whole, *parts in gpus))


def _folder() -> Path:
    """The folder of this user's locks on this host; refuses one that somebody else has made."""
    folder = Path(tempfile.gettempdir()) / f"wsss-gpus-{os.getuid()}-{socket.gethostname()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        fault = "it is not this user's" if folder.lstat().st_uid != os.getuid() else None
    except OSError as error:
        fault = error.strerror
    if fault:
        raise GpuError(f"{folder}: cannot hold locks on GPUs ({fault}); set TMPDIR to a folder of this user")
    return folder


def _wait_for(pool: Path, devices: Sequence[str], count: int, jobs_per_gpu: int) -> list[str]:
    """Take devices one process after the other: who needs several is not overtaken by all who need one."""
    jobs = range(jobs_per_gpu)
    places = {device: [pool / f"{quote(device, safe='')}.{job}" for job in jobs] for device in devices}
    # Processes that see other devices wait in lines of their own: theirs may be free.
    line = pool / f"line.{hashlib.sha256(','.join(sorted(devices)).encode()).hexdigest()[:16]}"
    reason = f"waiting for {count} of the GPUs {', '.join(devices)}; lslocks shows who holds locks in {pool}"
    turn = _repeat(lambda: _lock(line), reason)
    taken = _repeat(lambda: _take(places, count), reason)
    os.close(turn)
    return [device for device in devices if device in taken]


def _repeat(attempt: Callable[[], Found | None], reason: str) -> Found:
    """Try until something is found; if that is not at once, the log has the reason."""
    found = attempt()
    if found is None:
        log.info(reason)
    while found is None:
        time.sleep(POLL)
        found = attempt()
    return found


def _take(places: Mapping[str, Sequence[Path]], count: int) -> list[str] | None:
    """Lock a place on each of the ``count`` devices with the most free ones; all or none."""
    locks = {device: [_lock(path) for path in paths] for device, paths in places.items()}
    free = {device: [lock for lock in found if lock is not None] for device, found in locks.items()}
    chosen = sorted(filter(free.get, free), key=lambda device: -len(free[device]))[:count]
    taken = chosen if len(chosen) == count else []
    for device, found in free.items():
        for lock in found[1:] if device in taken else found:
            os.close(lock)
    return taken or None


def _lock(path: Path) -> int | None:
    """An open file that holds the lock until it is closed, at the latest when this process ends."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
