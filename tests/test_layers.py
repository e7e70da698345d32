"""Each layer knows only those below it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.imports import PACKAGE, imports

PURE = sorted(
    path for name in ("methods", "models", "single_stage") for path in PACKAGE.glob(f"{name}/**/*.py")
)
ABOVE = (
    "wsss.stages",
    "wsss.artefacts.formats",
    "wsss.workflow.plan",
    "wsss.training",
    "wsss.runtime.device",
    "wsss.cli",
    "wsss.commands",
    "wsss.doctor",
    "snakemake",
)
FILE_HANDLING = ("pathlib", "logging", "shutil", "safetensors")


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_there_are_pure_modules() -> None:
    assert len(PURE) > 10


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_computes_imports_nothing_from_above(path: Path) -> None:
    assert [name for name in imports(path) if within(name, ABOVE)] == []


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_computes_opens_no_files_and_writes_no_logs(path: Path) -> None:
    assert [name for name in imports(path) if within(name, FILE_HANDLING)] == []


def test_only_what_wraps_snakemake_knows_it() -> None:
    modules = sorted(PACKAGE.glob("**/*.py"))
    knowing = [path for path in modules if any(within(name, ("snakemake",)) for name in imports(path))]
    assert knowing == [PACKAGE / "commands" / "resume.py", PACKAGE / "doctor" / "jobs.py"]


def test_planning_imports_no_torch() -> None:
    code = "import sys, wsss.workflow.plan; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_test_imports_another_test_file() -> None:
    tests = Path(__file__).parent
    text = {path: path.read_text(encoding="utf-8") for path in tests.rglob("*.py")}
    pattern = re.compile(r"(?m)^(?:from|import) tests\.(?:\w+\.)*test_\w+")
    assert [path for path, source in text.items() if pattern.search(source)] == []
