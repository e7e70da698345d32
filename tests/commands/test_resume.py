"""``wsss resume``: what an earlier run has left behind is ended, and only that; see also test_slurm.py."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from wsss.cli import main
from wsss.commands import resume

ROOT = Path(__file__).parents[2]
ON_SLURM = ["--executor", "slurm"]
SNAKEFILE = """
rule wait:
    output: "{name}.txt"
    script: "wait.py"
"""
# Waits to be ended the first time; the second time it is done at once.
WAIT = """
import pathlib, signal, sys, time
started, ended = pathlib.Path("started"), pathlib.Path("ended")
signal.signal(signal.SIGTERM, lambda number, frame: (ended.touch(), sys.exit(75)))
if not ended.exists():
    started.touch()
    time.sleep(60)
pathlib.Path(snakemake.output[0]).write_text("whole")
"""


class Gone(Exception):
    """Stands for this process having become Snakemake."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder, in which the test works."""
    place = tmp_path / "run"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def queue(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SLURM's queue: a file that pretended commands print and take lines from. Snakemake is not started."""
    file, programs = tmp_path / "queue", tmp_path / "programs"
    programs.mkdir()
    cancel = f'for job in "$@"; do sed -i "/^$job|/d" {file}; done'
    for name, body in {"squeue": f"cat {file}", "scancel": cancel}.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def execute(program: str, command: list[str]) -> None:
        raise Gone(*command[3:])

    monkeypatch.setattr(os, "execv", execute)
    return file


def test_only_this_run_s_jobs_are_cancelled(queue: Path, folder: Path) -> None:
    others = [f"12|wsss_b|{folder.parent}\n", f"13|train|{folder}\n", f"14|wsssx_c|{folder}\n"]
    queue.write_text("".join([f"9|wsss_a|{folder}\n", f"11|wsss_a|{folder}\n", *others]))
    profile = str(ROOT / "profiles/slurm")
    with pytest.raises(Gone) as snakemake:
        main(["resume", "--workflow-profile", profile, "a.json"])
    assert queue.read_text() == "".join(others)
    assert snakemake.value.args == ("--rerun-incomplete", "--workflow-profile", profile, "a.json")


@pytest.mark.parametrize("option", ["-n", "-np", "--dryrun"])
def test_a_dry_run_changes_nothing(
    option: str, queue: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.write_text(line := f"9|wsss_a|{folder}\n")
    with pytest.raises(Gone):
        main(["resume", *ON_SLURM, option, "a.json"])
    assert queue.read_text() == line
    assert "jobs of an earlier run in SLURM: 9" in capsys.readouterr().out


def test_the_run_may_lie_in_another_folder(queue: Path, folder: Path) -> None:
    queue.write_text(f"9|wsss_a|{folder}\n11|wsss_b|{folder / 'other'}\n")
    with pytest.raises(Gone):
        main(["resume", *ON_SLURM, "--directory", "other", "--", "a.json"])
    assert queue.read_text() == f"9|wsss_a|{folder}\n"


def test_without_an_answer_nothing_is_started(
    queue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "programs" / "squeue").write_text("#!/bin/sh\necho 'no controller' >&2\nexit 1\n")
    assert main(["resume", *ON_SLURM, "a.json"]) == 1
    assert "squeue: no controller; " in capsys.readouterr().err


def test_slurm_is_not_asked_about_a_run_on_this_machine(queue: Path, tmp_path: Path) -> None:
    (tmp_path / "programs" / "squeue").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(Gone):
        main(["resume", "--cores", "1", "a.json"])


def test_jobs_that_do_not_end_are_named(
    queue: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "programs" / "scancel").write_text("#!/bin/sh\n")
    queue.write_text(f"9|wsss_a|{folder}\n")
    monkeypatch.setattr(resume, "SECONDS_TO_END", 0)
    assert main(["resume", *ON_SLURM, "a.json"]) == 1
    assert "SLURM jobs 9 have not ended in 0 s" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["--help"], 0), (["-h"], 0)])
def test_without_arguments_it_explains_itself(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", *arguments]) == status
    assert "kill -9" in capsys.readouterr().out


def test_the_profile_names_its_jobs_so_that_they_are_found() -> None:
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert profile["slurm-jobname-prefix"] + "_" == resume.JOB_NAMES


def until(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"waited for {path}"
        time.sleep(0.1)


def test_after_a_kill_of_a_run_on_this_machine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "wait.py").write_text(WAIT)
    arguments = ["--cores", "1", "--", "done.txt"]
    snakemake = subprocess.Popen([sys.executable, "-m", "snakemake", *arguments])
    until(folder / "started")
    assert main(["resume", *arguments]) == 1
    assert f"Snakemake still runs here as process {snakemake.pid}" in capsys.readouterr().err
    snakemake.send_signal(signal.SIGKILL)
    snakemake.wait()
    assert not (folder / "ended").exists()
    subprocess.run([sys.executable, "-m", "wsss.cli", "resume", *arguments], check=True)
    assert (folder / "ended").exists()
    assert (folder / "done.txt").read_text() == "whole"
