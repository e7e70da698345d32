"""A real SLURM on this host, for tests: a node without GPUs and two with two pretended ones each.

There are partitions for each kind, one over both nodes with GPUs, and one that is preempted by the others.
Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge; no systemd, cgroups or accounting.
All of it lives in one folder, except links in /etc/slurm: the jobs' wrapper takes SLURM's variables away, and
what it starts looks there.

By hand: ``python -m tests.slurm.cluster start FOLDER`` and ``python -m tests.slurm.cluster stop FOLDER``.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "mungekey")
CONFIGURATION = Path("/etc/slurm")
PORT = 26817
NODES = ("cpu1", "gpu1", "gpu2")
GPUS = ("/dev/null", "/dev/zero")  # any character device will do


def obstacle() -> str | None:
    """Why no cluster can be started here; None if one can."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return f"SLURM is not installed: no {', '.join(missing)} (.ci/run installs it)"
    if os.geteuid() != 0:
        return "SLURM's daemons need root"
    if _foreign():
        return f"{CONFIGURATION} belongs to another cluster"
    return None


def _foreign() -> bool:
    """Whether there is a configuration that is no link, as of these tests, or a cluster that answers."""
    path = CONFIGURATION / "slurm.conf"
    return path.exists() and (not path.is_symlink() or "is UP" in ask("scontrol", "ping", check=False))


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Look again and again; fails with ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)


def ask(*command: str, check: bool = True) -> str:
    """What one of SLURM's commands prints."""
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout


class Cluster:
    """The daemons and files of one cluster."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def start(self) -> None:
        """Start all daemons; returns when a job can run."""
        for name in ("etc", "run", "log", "controller", "spool", "munge"):
            (self.state / name).mkdir(parents=True)
        self._configure()
        self._start_munge()
        self.start_controller()
        for node in NODES:
            self._spawn("slurmd", "-N", node)
        wait_until(self._ready, "all nodes")

    def stop(self) -> None:
        """End all jobs and daemons and take the links away; may be called more than once."""
        jobs = ask("squeue", "--noheader", "--format=%A", check=False).split()
        ask("scancel", *jobs, check=False)
        wait_until(lambda: not ask("squeue", "--noheader", check=False), "the jobs to end", seconds=30)
        self.stop_controller()  # first: it would wait for its nodes
        for daemon in [*(f"slurmd-{node}" for node in NODES), "munged"]:
            self._end(daemon)
        self._unlink()

    def start_controller(self) -> None:
        """Start slurmctld, which knows the jobs of an earlier one."""
        self._spawn("slurmctld")
        wait_until(lambda: "is UP" in ask("scontrol", "ping", check=False), "the controller")

    def stop_controller(self) -> None:
        """End slurmctld; jobs run on."""
        self._end("slurmctld")

    def finished(self) -> list[dict[str, str]]:
        """The jobs that have ended, by SLURM's own record: a dictionary of fields each."""
        record = self.state / "finished.txt"
        lines = record.read_text().splitlines() if record.exists() else []
        return [dict(field.split("=", 1) for field in line.split() if "=" in field) for line in lines]

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        values = {
            "HOST": host,
            "ADDRESS": socket.gethostbyname(host),
            "STATE": str(self.state),
            "PORT": str(PORT),
            "CPU_PORT": str(PORT + 1),
            "GPU_PORT": str(PORT + 2),
            "GPU2_PORT": str(PORT + 3),
        }
        text = (Path(__file__).parent / "slurm.conf").read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        gpus = [f"NodeName=gpu[1-2] Name=gpu Type=fake File={device}" for device in GPUS]
        self._write("slurm", text)
        self._write("gres", "\n".join(["AutoDetect=off", *gpus, ""]))
        self._write("cgroup", "CgroupPlugin=cgroup/v1\n")  # named, it is not searched for; nothing uses it

    def _write(self, name: str, text: str) -> None:
        path = self.state / "etc" / f"{name}.conf"
        path.write_text(text)
        CONFIGURATION.mkdir(exist_ok=True)
        link = CONFIGURATION / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(path)

    def _unlink(self) -> None:
        """An empty configuration stays: without any, Snakemake's plugin would search the network for one."""
        for name in ("gres", "cgroup"):
            (CONFIGURATION / f"{name}.conf").unlink(missing_ok=True)
        link = CONFIGURATION / "slurm.conf"
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")

    def _start_munge(self) -> None:
        if _authentic():
            return
        Path("/run/munge").mkdir(mode=0o755, exist_ok=True)
        folder = self.state / "munge"
        folder.chmod(0o700)
        ask("mungekey", "--create", f"--keyfile={folder / 'key'}")
        places = {"key": "munge/key", "pid": "run/munged.pid", "log": "munge/log", "seed": "munge/seed"}
        self._spawn("munged", *(f"--{kind}-file={self.state / place}" for kind, place in places.items()))
        wait_until(_authentic, "munge")

    def _spawn(self, *command: str) -> None:
        """Start a daemon, which leaves its terminal and files behind."""
        with (self.state / "log" / f"{command[0]}.start").open("w") as output:
            subprocess.run(command, check=True, stdout=output, stderr=output, timeout=60)

    def _end(self, daemon: str) -> None:
        path = self.state / "run" / f"{daemon}.pid"
        if not path.exists():
            return
        pid = int(path.read_text())
        if _runs(pid, daemon.partition("-")[0]):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not _runs(pid, daemon.partition("-")[0]), f"the end of {daemon}", seconds=30)
        path.unlink(missing_ok=True)

    def _ready(self) -> bool:
        states = ask("sinfo", "--noheader", "--Node", "--format=%N %t", check=False)
        return all(f"{node} idle" in states for node in NODES)


def _authentic() -> bool:
    credential = subprocess.run(["munge", "-n"], capture_output=True, check=False).stdout
    return subprocess.run(["unmunge"], input=credential, capture_output=True, check=False).returncode == 0


def _runs(pid: int, program: str) -> bool:
    """Whether a process lives and is that program; one whose end nobody has noticed does not."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except FileNotFoundError:
        return False
    return program.startswith(name) and not rest.startswith(" Z")


def main(action: str, folder: str) -> None:
    """Start or stop a cluster by hand."""
    getattr(Cluster(Path(folder).resolve()), action)()


if __name__ == "__main__":
    main(*sys.argv[1:])
