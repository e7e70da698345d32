"""The list of commands, and what a command waits for."""

import subprocess
import sys

import pytest

from wsss.cli import COMMANDS, main

SLOW = ("torch", "numpy", "pydantic", "yaml", "PIL")  # packages whose import shows


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "resume"])  # its options: Snakemake's
def test_each_tells_its_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: wsss {name}")


def test_the_list_names_all_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {meaning}" in listed for name, meaning in COMMANDS.items())
    assert imported("[]") == "[]"


def test_no_such_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["predictt"])
    assert end.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_predict_waits_for_nothing_of_the_configuration() -> None:
    assert imported("['predict']") == "['numpy', 'PIL']"


def imported(arguments: str) -> str:
    """Which slow packages the command line imports before its arguments are read, by a process of its own."""
    program = (
        "import sys; from wsss.cli import main\n"
        f"try: main({arguments})\n"
        f"except SystemExit: print([name for name in {SLOW!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return ended.stdout.strip()
