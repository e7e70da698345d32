"""Stand-ins for the tools that a machine may have."""

import stat
from pathlib import Path

import pytest


def put_tool(folder: Path, name: str, answers: dict[str, str], status: int = 0) -> None:
    """Write a command that prints the first answer whose key is part of its arguments."""
    cases = [f"*{key}*) cat <<'ANSWER'\n{text}\nANSWER\n;;" for key, text in answers.items()]
    script = "\n".join(["#!/bin/sh", 'case "$*" in', *cases, "esac", f"exit {status}"])
    path = folder / name
    folder.mkdir(exist_ok=True)
    path.write_text(f"{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def only_tools(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let only a folder's tools be found, and what a shell needs."""
    folder.mkdir(exist_ok=True)
    if not (folder / "cat").exists():
        (folder / "cat").symlink_to("/bin/cat")
    monkeypatch.setenv("PATH", str(folder))
