"""A SLURM profile beside the partitions that ``sinfo`` lists."""

from pathlib import Path

import pytest
import yaml

from tests.support.tools import only_tools, put_tool
from wsss.config.reading import ROOT, read_config
from wsss.doctor.cluster import check_cluster, read_nodes
from wsss.doctor.jobs import Request, read_requests
from wsss.doctor.verdict import ERROR, OK, WARNING, Verdict

PROFILE = ROOT / "profiles" / "slurm"
CONFIG = read_config([])
CPU = "cpu|up|infinite|64|256000|(null)|idle"
GPU = "gpu|up|4-00:00:00|32|256000|gpu:a100:4(S:0-1)|mixed"


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run the check against what ``sinfo`` would print."""

    def check(*nodes: str, profile: Path = PROFILE, config: str = "") -> dict[str, Verdict]:
        put_tool(tmp_path / "bin", "sinfo", {"": "\n".join(nodes)})
        put_tool(tmp_path / "bin", "scontrol", {"": config})
        put_tool(tmp_path / "bin", "which", {})  # by which the plugin looks for squeue
        only_tools(monkeypatch, tmp_path / "bin")
        return {
            verdict.subject.removeprefix("cluster: "): verdict for verdict in check_cluster(profile, CONFIG)
        }

    return check


def test_a_machine_without_slurm_needs_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only_tools(monkeypatch, tmp_path / "bin")
    (verdict,) = check_cluster(PROFILE, CONFIG)
    assert verdict.status == OK


def test_a_controller_that_does_not_answer(look) -> None:
    assert look()["cluster"].status == WARNING


def test_a_cluster_that_serves_the_profile(look) -> None:
    found = look(CPU, GPU, config="MinJobAge               = 300 sec")
    assert {verdict.status for verdict in found.values()} == {OK}, found
    assert "cpu, gpu" in found["partitions"].found


def test_partitions_of_another_name(look) -> None:
    found = look(CPU.replace("cpu|", "batch|"), GPU)
    assert found["partitions"].status == ERROR
    assert "the cluster has batch, gpu" in found["partitions"].found and "cpu" in found["partitions"].found
    assert list(found) == ["partitions"]


def test_partitions_that_are_down_or_have_no_gpus(look) -> None:
    assert look(CPU.replace("idle", "drained"), GPU)["cpu"].status == WARNING
    found = look(CPU, GPU.replace("gpu:a100:4(S:0-1)", "(null)"))
    assert found["gpu"].status == ERROR and "jobs" not in found


def test_a_request_that_no_node_serves_would_wait_forever(look) -> None:
    jobs = look(CPU, GPU.replace("256000", "24000"))["jobs"]
    assert jobs.status == ERROR and "train_segmenter: 8 CPUs, 32000 MB, 1440 minutes, 1 GPU" in jobs.found
    jobs = look(CPU, GPU.replace("256000", "50000"))["jobs"]
    assert jobs.status == WARNING and "train_segmenter at try 2: 8 CPUs, 64000 MB" in jobs.found
    jobs = look(CPU, GPU.replace("4-00:00:00", "12:00:00"))["jobs"]
    assert jobs.status == ERROR and "train_single_stage: 8 CPUs, 24000 MB, 1440 minutes, 1 GPU" in jobs.found


def test_squeue_must_remember_jobs_until_the_first_look(look) -> None:
    found = look(CPU, GPU, config="MinJobAge = 40 sec")
    assert (
        found["squeue"].status == WARNING
        and "MinJobAge is 40 s, expected at least 3 times 20 s" in found["squeue"].found
    )


def test_a_profile_of_another_style(look, tmp_path: Path) -> None:
    settings = {
        "default-resources": ["slurm_partition=batch", "mem_mb=1000"],
        "set-resources": ["train_single_stage:slurm_partition=a100", "train_single_stage:mem_mb=1e6*attempt"],
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    nodes = [CPU.replace("cpu|", "batch|"), GPU.replace("gpu|", "a100|", 1)]
    found = look(*nodes, profile=tmp_path)
    assert found["partitions"].status == OK
    assert "train_single_stage: 8 CPUs, 1000000 MB" in found["jobs"].found
    assert look(*nodes, profile=tmp_path / "none")["cluster"].status == ERROR


def test_lines_of_sinfo() -> None:
    lines = [
        CPU,
        GPU,
        "x|down|30:00|8+|1000+|gpu:2,shard:8|idle",
        "y|up|1-02:30:00|8|1000|gpu:3g.40gb:1,gpu:tesla|down*",
    ]
    assert [tuple(one)[1:] for one in read_nodes("\n".join([*lines, "garbage"]))] == [
        (True, float("inf"), 64, 256000, 0),
        (True, 5760, 32, 256000, 4),
        (False, 30, 8, 1000, 2),
        (False, 1590, 8, 1000, 2),
    ]


def requests(folder: Path, profile: Path, gpus: dict[str, int]) -> dict[tuple[str, int], Request]:
    """By rule and try, for real data whose trainings share so many GPUs."""
    overlay = folder / "gpus.yaml"
    overlay.write_text(yaml.safe_dump({"execution": {"gpus": gpus}}))
    asked, unread = read_requests(profile, read_config([overlay]), [overlay], ROOT)
    assert unread == []
    return {(one.rule, one.attempt): one for one in asked}


def test_requests_grow_with_the_tries(tmp_path: Path) -> None:
    asked = requests(tmp_path, PROFILE, {"train_irn": 4})
    first, second = asked["extract_maps", 1], asked["extract_maps", 2]
    assert (first.gpus, first.cpus) == (1, 4)
    assert second.megabytes == 2 * first.megabytes > 0
    assert (asked["train_irn", 1].gpus, asked["train_irn", 1].cpus) == (4, 32)
    assert asked["train_single_stage", 1].cpus == 8 and asked["make_pseudo_labels", 1].gpus == 0
    assert all(one.minutes > 0 and one.megabytes > 0 for one in asked.values())
    assert max(attempt for _, attempt in asked) == 4


def profile_of(folder: Path, **settings: object) -> Path:
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_a_training_on_several_nodes_asks_each_for_its_share(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, **{"set-resources": {"train_irn": {"nodes": 2, "mem_mb": 1000}}})
    asked = requests(tmp_path, profile, {"train_irn": 8})
    assert asked["train_irn", 1][1:] == (1, 0, 32, 1000, 4, None)


def test_resources_are_what_snakemake_makes_of_them(tmp_path: Path) -> None:
    given = {
        "train_single_stage": {"runtime": "1d", "mem": "16GB"},
        "train_irn": {"mem_mb": "(3 + threads) * attempt"},
    }
    asked = requests(tmp_path, profile_of(tmp_path, retries=1, **{"set-resources": given}), {})
    assert (asked["train_single_stage", 1].minutes, asked["train_single_stage", 1].megabytes) == (1440, 16000)
    assert asked["train_irn", 2].megabytes == 22


def test_gpus_that_cannot_share_a_batch_are_not_compared(tmp_path: Path) -> None:
    overlay = tmp_path / "gpus.yaml"
    overlay.write_text("execution: {gpus: {train_single_stage: 7}}")
    _, (said,) = read_requests(PROFILE, read_config([overlay]), [overlay], ROOT)
    assert said.startswith("train_single_stage:") and "execution.gpus" in said


def test_resources_that_were_not_compared_are_said(look, tmp_path: Path) -> None:
    profile_of(tmp_path, **{"set-resources": {"train_single_stage": {"mem_mb": "input.size_mb"}}})
    verdict = look(CPU, GPU, profile=tmp_path)["jobs"]
    assert (
        verdict.status == WARNING
        and "not compared" in verdict.found
        and "train_single_stage: " in verdict.found
    )


def test_a_profile_that_snakemake_refuses_is_an_error(look, tmp_path: Path) -> None:
    verdict = look(CPU, GPU, profile=profile_of(tmp_path, cores="many"))["cluster"]
    assert verdict.status == ERROR and "number of cores" in verdict.found
