"""Versions, GPUs and their driver."""

from pathlib import Path

import pytest
import torch

from tests.support.tools import only_tools, put_tool
from wsss.doctor import machine
from wsss.doctor.machine import check_driver, check_gpus, check_packages, torch_cuda
from wsss.doctor.verdict import ERROR, OK, WARNING

OVERVIEW = "| NVIDIA-SMI 580.82   Driver Version: 580.82   CUDA Version: 13.0 |"
CARD = "NVIDIA H200, 143771, 0"


def gpus(monkeypatch: pytest.MonkeyPatch, folder: Path, cards: list[str], status: int = 0) -> dict[str, str]:
    put_tool(folder / "bin", "nvidia-smi", {"query-gpu": "\n".join(cards), "": OVERVIEW}, status)
    only_tools(monkeypatch, folder / "bin")
    return {f"{verdict.subject} {verdict.status}": verdict.found for verdict in check_gpus()}


def test_this_python_and_these_packages_are_supported() -> None:
    verdict = check_packages()
    assert verdict.status != ERROR, verdict
    assert f"torch {torch.__version__.partition('+')[0]}" in verdict.found or verdict.status == WARNING


def test_a_checkout_that_is_not_installed() -> None:
    verdict = check_packages("no-such-distribution")
    assert verdict.status == ERROR and "not installed" in verdict.found


def test_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "python_version", lambda: "3.9.1")
    verdict = check_packages()
    assert verdict.status == ERROR and verdict.found.endswith("found 3.9.1")


def test_packages_that_are_missing_or_other_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = machine.installed
    monkeypatch.setattr(machine, "installed", lambda name: None if name == "timm" else installed(name))
    verdict = check_packages()
    assert verdict.status == ERROR and "timm (not installed)" in verdict.found and "make" in verdict.fix
    monkeypatch.setattr(machine, "installed", lambda name: "0.1" if name == "mmengine" else installed(name))
    assert "mmengine==0.10.7 (found 0.1)" in check_packages().found
    monkeypatch.setattr(machine, "installed", installed)
    (tmp_path / "pins").write_text("pillow==1.0\nabsent==1.0\nnumpy==0.1 ; python_full_version < '3'\n")
    pinned = check_packages(pins=tmp_path / "pins")
    assert pinned.status == WARNING and pinned.found.endswith(f"pillow==1.0 (found {installed('pillow')})")


def test_no_gpu_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    only_tools(monkeypatch, tmp_path / "bin")
    (verdict,) = check_gpus()
    assert verdict.status == WARNING and "CPU" in verdict.found


def test_gpus_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = gpus(monkeypatch, tmp_path, [CARD, CARD])
    assert (
        found["GPU ok"]
        == "2: NVIDIA H200 150.8 GB, NVIDIA H200 150.8 GB; --resources gpu=2 runs a job on each"
    )
    assert "driver 580.82 for CUDA 13.0" in found["driver ok"]


def test_a_gpu_in_use_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = gpus(monkeypatch, tmp_path, [CARD, "NVIDIA H200, 143771, 120000"])
    assert found["GPU warning"] == "GPU 1 has 125.8 GB of its memory in use"


def test_a_gpu_that_does_not_tell_its_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = gpus(monkeypatch, tmp_path, ["NVIDIA GB10, [N/A], [N/A]"])
    assert found["GPU ok"] == "1: NVIDIA GB10 of unknown memory"


def test_a_driver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "GPU warning" in gpus(monkeypatch, tmp_path, [], status=9)
    assert gpus(monkeypatch, tmp_path, [])["GPU error"] == "nvidia-smi answers and lists none"


@pytest.mark.parametrize(
    ("serves", "built", "status"),
    [
        ("13.0", "13.0", OK),
        ("13.2", "13.0", OK),
        ("14.1", "13.0", OK),
        ("12.8", "13.0", ERROR),
        ("13.0", None, ERROR),
    ],
)
def test_a_driver_serves_its_cuda_and_those_before(serves: str, built: str | None, status: str) -> None:
    verdict = check_driver(OVERVIEW.replace("13.0", serves), built)
    assert verdict.status == status and bool(verdict.fix) == (status != OK)


def test_torch_s_cuda_is_read_without_importing_it() -> None:
    assert torch_cuda() == torch.version.cuda
