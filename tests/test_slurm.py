"""The profile for clusters on a real SLURM: whatever happens to a run, it ends as an undisturbed one."""

import copy
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml

from tests.support.planning import rules, snakemake
from tests.support.slurm_cluster import Cluster, ask, obstacle, wait_until
from tests.support.small_disk import leave, small_disk
from tests.support.tiny_run import ROOT, TARGETS, TinyRun, artefacts, command, session_checkout, tiny_run
from wsss.artefacts.formats import read_table
from wsss.artefacts.identity import content_digest, identity_of, making
from wsss.config.reading import read_config
from wsss.stages.classify import extract_maps

OBSTACLE = obstacle()
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
PARTITIONS = (ROOT / "profiles/slurm/partitions.yaml").read_text()
TINY = yaml.safe_load((ROOT / "tests/configs/tiny.yaml").read_text())
ON_GPU = (
    "train_classifier",
    "extract_maps",
    "diffuse_cams",
    "train_irn",
    "walk_cams",
    "train_segmenter",
    "predict_masks",
)
FAULTS = ("cancelled", "timed_out", "out_of_memory", "disk_full", "preempted")
VARIANTS = ("undisturbed", *FAULTS)
DISK = 64 * 2**20  # bytes for a training's checkpoints
TWO_NODES = {
    "gpu": 2,
    "nodes": 2,
    "tasks": 2,
    "tasks_per_gpu": 0,
    "cpus_per_task": 1,
    "mpi": "srun",
    "slurm_partition": "'nodes'",
    "slurm_extra": "'--signal=TERM@120 --ntasks-per-node=1 --gpus-per-node=1'",
}
# Fewer jobs than the profile makes of the chain, for each costs seconds to start.
GROUPS: dict[str, dict[str, Any]] = {
    "groups": PROFILE["groups"]
    | dict.fromkeys(("generate_sample", "prepare_manifest", "select_training"), "data")
    | dict.fromkeys(
        ("evaluate_seeds", "evaluate_pseudo", "evaluate_segmentation", "summarise_runs"), "scores"
    ),
    "group-components": PROFILE["group-components"],
}
TRAINING = "results/sample/train.jsonl"
SHARDS = ("000of002", "001of002")


def on_slurm(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that takes a cluster."""
    marked: Callable[..., None] = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))(test)
    return pytest.mark.slow(marked)


# The profile


def test_the_profile_sets_each_number_for_a_rule_that_exists() -> None:
    assert set(PROFILE["set-resources"]) | set(PROFILE["groups"]) <= set(rules())


def test_no_group_of_the_profile_waits_for_itself_where_a_data_set_has_one_threshold(tmp_path: Path) -> None:
    overlay = tmp_path / "rules.yaml"
    rule = "{threshold: otsu_dataset}"
    overlay.write_text(f"refiners: {{irn_nano: {{labels: {rule}, pseudo: {rule}}}}}\n")
    profile = tmp_path / "profile"
    profile.mkdir()
    grouped = {key: PROFILE[key] for key in ("groups", "group-components")}
    (profile / "config.yaml").write_text(yaml.safe_dump(grouped))
    options = ("--workflow-profile", profile, "--directory", tmp_path, "--configfile", overlay)
    result = snakemake("-n", "--quiet", "rules", *options, "--", "results/sample/seg_miou.json")
    assert result.returncode == 0, result.stdout
    assert "choose_threshold" in result.stdout


def test_jobs_on_a_gpu_and_trainings_do_not_rely_on_the_defaults() -> None:
    heavy = {rule for rule, sections in rules().items() if "gpu=0," not in "".join(sections["resources"])}
    assert heavy >= set(ON_GPU)
    assert heavy <= set(PROFILE["set-resources"])
    warned = {rule for rule, numbers in PROFILE["set-resources"].items() if "slurm_extra" in numbers}
    assert warned == {rule for rule in heavy if rule.startswith("train_")}


# On a cluster


class Job(NamedTuple):
    """A SLURM job as ``squeue`` tells it: number, state, rule and wildcards in one word."""

    number: str
    state: str
    comment: str


def jobs() -> list[Job]:
    lines = ask("squeue", "--noheader", "--format=%A|%T|%k").splitlines()
    return [Job(*line.split("|")) for line in lines]


def job_of(comment: str) -> str | None:
    """Number of the running job whose comment ends so."""
    running = (job for job in jobs() if job.state == "RUNNING")
    return next((job.number for job in running if job.comment.endswith(comment)), None)


def scripts(folder: Path) -> dict[str, int]:
    """Processes that compute in a folder, by the number of their SLURM job."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            program, argument = (entry / "cmdline").read_text().split("\0")[:2]
            is_python = Path(program).name.startswith("python") and ".snakemake/scripts/" in argument
            if is_python and Path(os.readlink(entry / "cwd")) == folder:
                found[environment(int(entry.name))["SLURM_JOB_ID"]] = int(entry.name)
        except (OSError, ValueError):
            continue
    return found


def environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def freeze(folder: Path, job: str) -> int:
    """Hold the process that computes for a job; SLURM lets it go on when it ends the job."""
    pid = scripts(folder)[job]
    os.kill(pid, signal.SIGSTOP)
    return pid


def site_profile(folder: Path, resources: dict[str, dict[str, Any]], **others: Any) -> Path:
    """The profile with what a site may change in it, here also GPUs for the sample and quick looks."""
    profile = copy.deepcopy(PROFILE)
    quick = {"slurm-init-seconds-before-status-checks": 2, "latency-wait": 15, "jobs": 4}
    profile |= {**quick, "slurm-keep-successful-logs": True, **others}
    profile["default-resources"]["slurm_account"] = "tests"  # else the plugin would ask sacct for one
    for rule, numbers in resources.items():
        profile["set-resources"][rule] |= numbers
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(profile))
    (folder / "partitions.yaml").write_text(PARTITIONS)
    return folder


def without_sacct(folder: Path) -> str:
    """A search path for programs on a cluster without accounting: no sacct, and nobody knows of accounts."""
    folder.mkdir(exist_ok=True)
    for place in reversed(os.environ["PATH"].split(":")):
        for program in Path(place).glob("*"):
            link = folder / program.name
            link.unlink(missing_ok=True)
            link.symlink_to(program)
    (folder / "sacct").unlink()
    for validator in ("sacctmgr", "sshare"):
        (folder / validator).unlink()
        (folder / validator).symlink_to("/bin/true")
    return str(folder)


def resume(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "wsss.cli", "resume", *map(str, arguments)]


class Run:
    """A run on the cluster: its folder and the arguments that every start of it has."""

    def __init__(self, folder: Path, checkout: Path, *arguments: str | Path) -> None:
        self.folder, self.checkout, self.arguments = folder, checkout, arguments
        self.started: list[subprocess.Popen[bytes]] = []
        self.programs = without_sacct(folder.parent / "programs")

    def start(self, *targets: str) -> None:
        parts = command(self.checkout, self.folder, *self.arguments, "--", *targets)
        self._spawn(parts)

    def resume(self, *targets: str) -> None:
        parts = command(self.checkout, self.folder, *self.arguments, "--", *targets)
        self._spawn(resume(*parts[3:]))

    def locally(self, *targets: str) -> None:
        parts = (*self.arguments[2:], "--workflow-profile", "none", "--cores", "1", "--", *targets)
        subprocess.run(command(self.checkout, self.folder, *parts), cwd=self.folder, check=True)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _spawn(self, parts: list[str]) -> None:
        environment = {**os.environ, "PATH": self.programs}
        with (self.folder / f"output{len(self.started)}.txt").open("w") as file:
            self.started.append(
                subprocess.Popen(
                    parts, cwd=self.folder, env=environment, stdout=file, stderr=file, start_new_session=True
                )
            )

    def kill(self) -> None:
        self.started[-1].kill()
        self.started[-1].wait()

    def finish(self) -> None:
        assert self.started[-1].wait() == 0, self.output()[-8000:]

    def output(self) -> str:
        return (self.folder / f"output{len(self.started) - 1}.txt").read_text()

    def until(self, condition: Callable[[], object], what: str, seconds: float = 600) -> None:
        def met() -> object:
            assert self.started[-1].poll() is None, self.output()[-8000:]
            return condition()

        wait_until(met, what, seconds)

    def logs(self, rule: str, wildcards: str) -> list[Path]:
        """What SLURM's jobs for one job of the rule have said; one file a try."""
        found = (self.folder / "results/logs/slurm" / f"rule_{rule}" / wildcards).glob("*.log")
        return sorted(found, key=lambda path: int(path.stem))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


# Trainings that are disturbed, each by what its name says; all are the same training.


@pytest.fixture(scope="module")
def faulty(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A folder in which the same training was run once undisturbed and once with each fault."""
    place = tmp_path_factory.mktemp("faulty")
    training = copy.deepcopy(TINY["classifiers"]["tiny"])
    training["training"]["epochs"] = 40
    overlay = place / "faults.yaml"
    overlay.write_text(
        yaml.safe_dump(
            {
                "datasets": {"sample": {"shards": len(SHARDS)}},
                "classifiers": dict.fromkeys((*VARIANTS, "two_nodes"), training),
            }
        )
    )
    choices = {
        "gpu": "1 if wildcards.classifier in ('cancelled', 'timed_out') else 0",
        "slurm_partition": "'low' if wildcards.classifier == 'preempted' else 'gpu'",
        "mem_mb": "600 * 8 ** (attempt - 1) if wildcards.classifier == 'out_of_memory' else 8000 * attempt",
    }
    profile = site_profile(place / "site", {"train_classifier": choices}, jobs=10)
    folder = place / "run"
    folder.mkdir()
    checkout = session_checkout(tmp_path_factory)
    tiny = checkout / "tests/configs/tiny.yaml"
    run = Run(folder, checkout, "--workflow-profile", profile, "--configfile", tiny, overlay)
    run.locally(TRAINING)
    with run, small_disk(folder / "results/sample/run0/disk_full", DISK) as disk:
        filler = leave(disk, free=4096)
        run.start(*weights(*VARIANTS))
        run.until(lambda: "cannot be written" in said_by(run, "disk_full"), "a full disk")
        filler.unlink()
        disturb(cluster, run)
        run.finish()
        yield run


def weights(*variants: str) -> list[str]:
    return [f"results/sample/run0/{variant}/weights.safetensors" for variant in variants]


def said_by(run: Run, variant: str) -> str:
    """What all tries of a training have printed."""
    return "".join(path.read_text() for path in run.logs("train_classifier", f"sample_0_{variant}"))


def disturb(cluster: Cluster, run: Run) -> None:
    """Do to the trainings what their names say, once they have a checkpoint."""
    frozen = {}
    for variant in ("cancelled", "timed_out", "preempted"):
        frozen[variant] = in_the_middle(run, variant)
    devices = {environment(pid)["CUDA_VISIBLE_DEVICES"] for pid in list(frozen.values())[:2]}
    (run.folder / "devices.txt").write_text(" ".join(sorted(devices)))
    number = {variant: job_of(f"_{variant}") for variant in frozen}
    ask("scancel", number["cancelled"])
    ask("scontrol", "update", f"JobId={number['timed_out']}", "TimeLimit=1")
    ask("sbatch", "--partition=cpu", "--exclusive", "--time=1", "--output=/dev/null", "--wrap=true")
    cluster.stop_controller()
    time.sleep(20)  # a look at the status goes wrong
    cluster.start_controller()


def in_the_middle(run: Run, variant: str) -> int:
    """Hold a training that has written a checkpoint; returns its process."""
    place = run.folder / "results/sample/run0" / variant
    run.until(lambda: any(place.glob("work-*/iteration-*.pth")), f"a checkpoint of {variant}")
    return freeze(run.folder, job_of(f"_{variant}") or "none")


@on_slurm
@pytest.mark.parametrize("fault", FAULTS)
def test_a_disturbed_training_ends_in_the_undisturbed_one_s_weights(faulty: Run, fault: str) -> None:
    undisturbed, disturbed = (content_digest(faulty.folder / name) for name in weights("undisturbed", fault))
    assert disturbed == undisturbed


@on_slurm
@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ("cancelled", "CANCELLED"),
        ("timed_out", "TIMEOUT"),
        ("out_of_memory", "FAILED|OUT_OF_MEMORY"),
        ("disk_full", "FAILED"),
    ],
)
def test_a_job_that_was_ended_is_tried_again(faulty: Run, cluster: Cluster, fault: str, state: str) -> None:
    states = {job["JobId"]: job["JobState"] for job in cluster.finished()}
    tries = [states[path.stem] for path in faulty.logs("train_classifier", f"sample_0_{fault}")]
    assert len(tries) >= 2 and tries[-1] == "COMPLETED"
    assert all(re.fullmatch(state, found) for found in tries[:-1])


@on_slurm
def test_a_job_on_a_full_disk_says_so(faulty: Run, quoted: Callable[[str], None]) -> None:
    quoted(faulty.logs("train_classifier", "sample_0_disk_full")[0].read_text())


@on_slurm
def test_a_preempted_job_is_started_again_under_its_number(faulty: Run, cluster: Cluster) -> None:
    (log,) = faulty.logs("train_classifier", "sample_0_preempted")
    states = [job["JobState"] for job in cluster.finished() if job["JobId"] == log.stem]
    assert states[-1] == "COMPLETED" and len(states) == 2


@on_slurm
@pytest.mark.parametrize("fault", ["cancelled", "timed_out"])
def test_a_training_goes_on_where_it_was_stopped(faulty: Run, fault: str) -> None:
    said = said_by(faulty, fault)
    stopped = re.findall(r"stopped by SIGTERM after iteration (\d+); run the same command to go on", said)
    assert stopped
    assert f"resumed after {stopped[-1]} of 80 passes" in said


@on_slurm
def test_a_preempted_training_goes_on(faulty: Run) -> None:
    (log,) = faulty.logs("train_classifier", "sample_0_preempted")  # SLURM begins it anew
    assert re.search(r"resumed after [1-9]\d* of 80 passes", log.read_text())


@on_slurm
def test_jobs_on_a_node_have_gpus_of_their_own(faulty: Run) -> None:
    assert (faulty.folder / "devices.txt").read_text() == "0 1"


@on_slurm
def test_no_finished_job_was_run_again(faulty: Run) -> None:
    rules = {path.name for path in (faulty.folder / "results/logs/slurm").iterdir()}
    assert rules == {"rule_train_classifier"}  # the list of images was there
    assert len(faulty.logs("train_classifier", "sample_0_undisturbed")) == 1


@on_slurm
def test_a_training_on_two_nodes_learns_what_one_process_does(faulty: Run, cluster: Cluster) -> None:
    place = faulty.folder.parent
    (place / "two_nodes.yaml").write_text("execution: {gpus: {train_classifier: 2}}")
    profile = site_profile(place / "two_nodes", {"train_classifier": TWO_NODES})
    arguments = ["--workflow-profile", profile, *faulty.arguments[2:], place / "two_nodes.yaml"]
    run = Run(faulty.folder, faulty.checkout, *arguments)
    with run:
        run.start(*weights("two_nodes"))
        run.finish()
    (log,) = run.logs("train_classifier", "sample_0_two_nodes")
    assert [job["NodeList"] for job in cluster.finished() if job["JobId"] == log.stem] == ["gpu[1-2]"]
    assert "2 processes train together on the CPU" in log.read_text()
    histories = [Path(name).with_name("history.csv") for name in weights("undisturbed", "two_nodes")]
    alone, shared = (read_table(faulty.folder / path) for path in histories)
    # The same but for rounding, which Adam amplifies: 1e-7 in the first update, 1e-5 in the second, 3e-4 in
    # the third, 5e-2 at most in all 80.
    pd.testing.assert_frame_equal(shared[:1], alone[:1], rtol=1e-6, check_dtype=False)
    pd.testing.assert_frame_equal(shared[:2], alone[:2], rtol=1e-4, check_dtype=False)
    pd.testing.assert_frame_equal(shared, alone, rtol=0.15, check_dtype=False)


# A Snakemake that is killed


@on_slurm
def test_after_a_kill_in_the_middle_of_the_shards_one_command_goes_on(
    faulty: Run, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cams = faulty.folder / "results/sample/run0/undisturbed/cams"
    shards = [cams / f"{shard}.safetensors" for shard in SHARDS]
    targets = [str(path.relative_to(faulty.folder)) for path in shards]
    faulty.start(*targets)
    faulty.until(lambda: scripts(faulty.folder), "a shard to begin")
    orphan = next(iter(scripts(faulty.folder)))
    freeze(faulty.folder, orphan)
    # Its job has to have ended, too: a file whose Snakemake has not noted it yet is made again.
    faulty.until(
        lambda: any(path.exists() for path in shards) and {job.number for job in jobs()} == {orphan},
        "the other shard",
    )
    done = [path.stem for path in shards if path.exists()]
    faulty.kill()
    assert orphan in {job.number for job in jobs()}
    faulty.resume(*targets)
    faulty.finish()
    assert {job["JobId"]: job["JobState"] for job in cluster.finished()}[orphan] == "CANCELLED"
    assert [len(faulty.logs("extract_maps", f"sample_0_undisturbed_{shard}")) for shard in done] == [1]
    monkeypatch.chdir(faulty.folder)  # where the manifest's paths start
    assert [path.name for path in shards if path.read_bytes() != extracted(faulty, path)] == []


def extracted(run: Run, cams: Path) -> bytes:
    """A shard's class maps, made without Snakemake and SLURM."""
    sample, here = run.folder / "results/sample", run.folder.parent / "extracted"
    settings = read_config([ROOT / "tests/configs/tiny.yaml"])["classifiers"]["tiny"]
    with making(identity_of(cams)):
        extract_maps.run(
            manifest=sample / "train.jsonl",
            weights=sample / "run0/undisturbed/weights.safetensors",
            cams=here / cams.name,
            attention=here / "attention" / cams.name,
            network=settings["network"],
            views=settings["views"],
            shard=cams.stem,
        )
    return (here / cams.name).read_bytes()


# From end to end


@pytest.fixture(scope="module")
def whole(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A folder in which the smallest chain was run on the cluster; DeepLab's training outlived Snakemake."""
    place = tmp_path_factory.mktemp("whole")
    folder = place / "run"
    folder.mkdir()
    profile = site_profile(place / "site", {rule: {"gpu": 1} for rule in ON_GPU}, **GROUPS)
    checkout = session_checkout(tmp_path_factory)
    tiny = checkout / "tests/configs/tiny.yaml"
    run = Run(folder, checkout, "--workflow-profile", profile, "--configfile", tiny)
    with run:
        run.start(*TARGETS)
        run.until(lambda: job_of("_deeplab_tiny"), "DeepLab", 1200)
        run.kill()
        run.resume(*TARGETS)
        run.finish()
        yield run


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """The smallest systems, run on this machine."""
    return tiny_run(tmp_path_factory)


@on_slurm
def test_the_chain_gives_the_bytes_of_a_run_on_this_machine(whole: Run, local: TinyRun) -> None:
    found, expected = artefacts(whole.folder), artefacts(local.folder)
    assert {*TARGETS, "results/sample/run0/tiny/weights.safetensors"} <= set(found)
    assert [name for name in found if found[name] != expected.get(name)] == []


@on_slurm
def test_jobs_run_on_the_node_that_has_what_they_ask_for(whole: Run, cluster: Cluster) -> None:
    nodes = {job["JobId"]: job["NodeList"] for job in cluster.finished()}
    logs = whole.folder / "results/logs/slurm"
    ran = [(path.relative_to(logs).parts[0], nodes[path.stem]) for path in logs.rglob("*.log")]
    on_gpu = {f"rule_{rule}" for rule in ON_GPU}
    assert on_gpu <= {rule for rule, _ in ran}
    assert {node for rule, node in ran if rule in on_gpu} == {"gpu1"}
    assert {node for rule, node in ran if rule not in on_gpu} == {"cpu1"}


@on_slurm
def test_nothing_that_was_finished_ran_again(whole: Run, cluster: Cluster) -> None:
    states = {job["JobId"]: job["JobState"] for job in cluster.finished()}
    logs = (whole.folder / "results/logs/slurm").glob("rule_*/**/*.log")
    tries = [(path.parent.parent.name, path.parent.name, states[path.stem]) for path in logs]
    completed = [name for *name, state in tries if state == "COMPLETED"]
    assert [name for name in completed if completed.count(name) > 1] == []
    assert ("rule_train_segmenter", "sample_0_tiny_adcam_irn_tiny_deeplab_tiny", "CANCELLED") in tries
