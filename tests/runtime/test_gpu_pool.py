"""The pool of GPUs, with device names that no machine has and real processes that take them."""

import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from wsss.runtime import gpu_pool
from wsss.runtime.gpu_pool import GpuError, claim, visible_devices

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds for a process on a busy machine to say something
WAITS = "waiting for 1 of the GPUs 0, 1; "

# Says which devices it has and keeps them until it is killed.
HOLDER = """
import json, logging, sys
from wsss.runtime.gpu_pool import claim
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
print(json.dumps(claim(*map(int, sys.argv[1:]))), flush=True)
sys.stdin.read()
"""

# Writes down when it has devices: a line `+` or `-` for each.
VISITOR = """
import os, sys, time
from wsss.runtime.gpu_pool import claim
count, jobs_per_gpu, book = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
file = os.open(book, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
devices = claim(count, jobs_per_gpu)
assert len(set(devices)) == count
os.write(file, "".join(f"+{device}\\n" for device in devices).encode())
time.sleep(0.05)
os.write(file, "".join(f"-{device}\\n" for device in devices).encode())
"""


class Job:
    """A process that takes devices; ``says()`` gives its next line."""

    def __init__(self, temporary: Path, visible: str, count: int, jobs_per_gpu: int, **slurm: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(count), str(jobs_per_gpu)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={"TMPDIR": str(temporary), "CUDA_VISIBLE_DEVICES": visible, **slurm},
            cwd=ROOT,
        )

    def says(self) -> str:
        assert select.select([self._process.stdout], [], [], PATIENCE)[0], "it says nothing"
        assert self._process.stdout
        return self._process.stdout.readline().decode().strip()

    def has(self) -> list[str]:
        line = self.says()
        assert line.startswith("["), line
        return json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


Start = Callable[..., Job]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(count=1, jobs_per_gpu=1, visible="0,1", **environment)``: a job in a process of its own."""
    jobs: list[Job] = []

    def start(count: int = 1, jobs_per_gpu: int = 1, visible: str = "0,1", **slurm: str) -> Job:
        jobs.append(Job(tmp_path, visible, count, jobs_per_gpu, **slurm))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()


# Devices of a machine


@pytest.mark.parametrize("visible", ["0,1", "GPU-5d5ba0d6,MIG-GPU-8932f937/7/0"])
def test_each_job_has_a_device_of_its_own(start: Start, visible: str) -> None:
    assert [start(visible=visible).has() for _ in range(2)] == [[name] for name in visible.split(",")]


def test_a_job_that_is_killed_frees_its_device(start: Start) -> None:
    assert start().has() == ["0"]
    killed = start()
    assert killed.has() == ["1"]
    third = start()
    assert third.says().startswith(WAITS)
    killed.kill()
    assert third.has() == ["1"]


def test_who_needs_two_gets_both_and_is_not_overtaken(start: Start) -> None:
    holder = start()
    assert holder.has() == ["0"]
    pair = start(count=2)
    assert pair.says().startswith("waiting for 2 of the GPUs 0, 1; ")
    late = start()
    assert late.says().startswith(WAITS)  # in line, although one is free
    holder.kill()
    assert pair.has() == ["0", "1"]
    pair.kill()
    assert late.has() == ["0"]


def test_a_line_for_one_device_keeps_nobody_from_another(start: Start) -> None:
    assert start(visible="0").has() == ["0"]
    assert start(visible="0").says().startswith("waiting for 1 of the GPUs 0; ")
    assert start(visible="1").has() == ["1"]
    assert start().says().startswith(WAITS)


def test_jobs_share_devices_where_they_may_the_least_used_first(start: Start) -> None:
    assert start(count=2, jobs_per_gpu=2).has() == ["0", "1"]
    assert start(jobs_per_gpu=2).has() == ["0"]
    killed = start(jobs_per_gpu=2)
    assert killed.has() == ["1"]
    fifth = start(jobs_per_gpu=2)
    assert fifth.says().startswith(WAITS)
    killed.kill()
    assert fifth.has() == ["1"]


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_many_at_once_all_get_their_turn_and_none_too_many(tmp_path: Path, jobs_per_gpu: int) -> None:
    book = tmp_path / "book"
    environment = {"TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0,1,2"}
    commands = [
        [sys.executable, "-c", VISITOR, str(1 + n % 3), str(jobs_per_gpu), str(book)] for n in range(9)
    ]
    visitors = [subprocess.Popen(command, env=environment, cwd=ROOT) for command in commands]
    assert [visitor.wait(PATIENCE) for visitor in visitors] == [0] * len(visitors)
    lines = book.read_text().splitlines()
    assert len(lines) == 2 * 3 * (1 + 2 + 3)
    users = dict.fromkeys("012", 0)
    for sign, device in lines:
        users[device] += 1 if sign == "+" else -1
        assert 0 <= users[device] <= jobs_per_gpu


# Devices that SLURM has assigned


def test_jobs_of_slurm_never_wait_for_another_job_whose_device_has_the_same_name(start: Start) -> None:
    assert start(visible="0").has() == ["0"]  # outside SLURM
    assert start(visible="0", SLURM_JOB_ID="7").has() == ["0"]
    assert start(visible="0", SLURM_JOB_ID="8").has() == ["0"]
    assert start(visible="0,1", SLURM_JOB_ID="9").has() == ["0"]


def test_what_runs_inside_one_job_of_slurm_shares_its_devices_out(start: Start) -> None:
    assert [start(SLURM_JOB_ID="7").has() for _ in range(2)] == [["0"], ["1"]]
    assert start(SLURM_JOB_ID="7").says().startswith(WAITS)


def test_a_job_over_several_nodes_has_all_devices_of_this_one(start: Start) -> None:
    assert start(count=8, SLURM_JOB_ID="7").has() == ["0", "1"]


# Which devices there are


@pytest.mark.parametrize(
    ("variable", "devices"),
    [
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("3", ["3"]),
        ("1, GPU-5d5ba0d6,MIG-GPU-8932f937/7/0", ["1", "GPU-5d5ba0d6", "MIG-GPU-8932f937/7/0"]),
        ("2,-1,0", ["2"]),
        ("0,0,1", ["0", "1"]),
    ],
)
def test_the_variable_is_read_as_cuda_reads_it(
    variable: str, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_devices() == devices


WHOLE = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bb)"""
DIVIDED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb)
  MIG 3g.20gb     Device  0: (UUID: MIG-cc)
  MIG 3g.20gb     Device  1: (UUID: MIG-dd)"""


@pytest.mark.parametrize(
    ("listing", "status", "devices"),
    [
        (WHOLE, 0, ["0", "1"]),
        (DIVIDED, 0, ["GPU-aa", "MIG-cc", "MIG-dd"]),
        ("No devices found.", 0, []),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, []),
    ],
)
def test_without_the_variable_the_drivers_tool_lists_them(
    listing: str, status: int, devices: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{listing}\nEND\nexit {status}\n")
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_devices() == devices


def test_a_machine_without_the_drivers_tool_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert claim(2) == []


# What can't be given


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for locks; two devices and no SLURM."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return tmp_path


def test_more_than_there_are_is_an_error(temporary: Path) -> None:
    with pytest.raises(GpuError, match=r"expected 3 GPUs for this job, found 2 \(0, 1\): ask for fewer"):
        claim(3)


def test_a_folder_of_somebody_else_is_refused(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_pool.socket, "gethostname", lambda: "host")
    (temporary / "wsss-gpus-4321-host").mkdir()
    monkeypatch.setattr(gpu_pool.os, "getuid", lambda: 4321)
    with pytest.raises(
        GpuError, match=r"wsss-gpus-4321-host: cannot hold locks on GPUs \(it is not this user's\)"
    ):
        claim(1)


def test_a_place_where_no_folder_can_be_is_an_error(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(temporary / "file"))
    with pytest.raises(GpuError, match=r"\(Not a directory\); set TMPDIR to a folder of this user"):
        claim(1)


# The runner


@pytest.fixture
def runner() -> ModuleType:
    """``rules/run_stage.py`` as a module."""
    spec = importlib.util.spec_from_file_location("run_stage", ROOT / "rules" / "run_stage.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_job_that_asks_for_no_gpu_sees_none(runner: ModuleType, temporary: Path) -> None:
    runner.set_gpus(0, 1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_where_no_gpu_is_known_torch_may_look_for_itself(
    runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    runner.set_gpus(1, 1)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


SNAKEFILE = """
config["execution"] = {"jobs_per_gpu": 2}


rule all:
    input:
        expand("seen_{n}", n=range(4)),


rule paint:
    output:
        seen="seen_{n}",
    log:
        "{n}.log",
    resources:
        gpu=lambda wildcards: 0 if wildcards.n == "3" else 1,
    script:
        "rules/run_stage.py"
"""

# A stage that ends only when all its jobs run at the same time; a torch that says what it saw when imported.
STAGE = """
import time, torch
from pathlib import Path

def run(*, seen):
    Path("running_" + seen).touch()
    end = time.monotonic() + 60
    while len(list(Path().glob("running_*"))) < 4:
        assert time.monotonic() < end, "the others do not run"
        time.sleep(0.05)
    Path(seen).write_text(torch.SEEN)
"""
TORCH = """
import os
SEEN = os.environ["CUDA_VISIBLE_DEVICES"]
set_num_threads = print
"""


def test_jobs_of_the_workflow_see_their_own_devices_before_torch_does(tmp_path: Path) -> None:
    for folder in ("rules", "wsss/stages"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "rules" / "run_stage.py", tmp_path / "rules")
    package = f"__path__.append({str(ROOT / 'wsss')!r})"  # all but the stages
    files = {"wsss/__init__.py": package, "wsss/stages/__init__.py": "", "wsss/stages/paint.py": STAGE}
    for name, text in {"Snakefile": SNAKEFILE, "torch.py": TORCH, **files}.items():
        (tmp_path / name).write_text(text)
    environment = {"TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "GPU-a,MIG-b"}
    slurm = [name for name in os.environ if name.startswith("SLURM_")]
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "4", "--resources", "gpu=3"],
        env={name: value for name, value in {**os.environ, **environment}.items() if name not in slurm},
        cwd=tmp_path,
        check=True,
        timeout=5 * PATIENCE,
    )
    seen = [(tmp_path / f"seen_{n}").read_text() for n in range(4)]
    assert seen[3] == ""
    assert sorted(seen[:3]) in (["GPU-a", "GPU-a", "MIG-b"], ["GPU-a", "MIG-b", "MIG-b"])
