"""The worked examples of the documents: their edits made in a copy of the project, their code run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.tiny_run import ROOT, copy_checkout

EXTENDING, ADDING = ROOT / "docs" / "extending.md", ROOT / "docs" / "adding-a-method.md"
BLOCK = re.compile(r"(?ms)^```(\w+)\n(.*?)^```$")
NAMED = re.compile(r"(?m)^(New file|In) `([^`]+)`|^(Run)\b")
EXAMPLES = {
    "A CAM method": EXTENDING,
    "A classifier kind": EXTENDING,
    "A data-set kind": EXTENDING,
    "A metric": EXTENDING,
    "A single-stage method": EXTENDING,
    "A made-up rival": ADDING,
}
COMMANDS = {".venv/bin/snakemake": "snakemake", ".venv/bin/wsss": "wsss.cli"}


class Step(NamedTuple):
    """A block of code: what is to be done with it, the file that it is of, its language and its text."""

    action: str
    path: str
    language: str
    text: str


def section(heading: str) -> str:
    text = EXAMPLES[heading].read_text(encoding="utf-8")
    return re.split(r"(?m)^## ", text.split(f"\n## {heading}\n")[1])[0]


def steps(heading: str) -> Iterator[Step]:
    """The blocks of a section, each with the last line before it that names a file or says to run it."""
    text = section(heading)
    for block in BLOCK.finditer(text):
        *_, named = NAMED.finditer(text, 0, block.start())
        yield Step(named[1] or named[3], named[2] or "", block[1], block[2])


def edited(text: str, difference: str) -> str:
    """A text with the one place that a block ``diff`` shows replaced."""
    lines = [(line[:1] or " ", line[1:]) for line in difference.splitlines()]
    old, new = ("".join(f"{line}\n" for sign, line in lines if sign != left) for left in "+-")
    assert text.count(old) == 1, f"expected once, found {text.count(old)} times:\n{old}"
    return text.replace(old, new)


def execute(step: Step, folder: Path) -> None:
    """Run a block in a folder, by the code that lies in it."""
    commands = [["-c", step.text]]
    if step.language == "sh":
        words = [line.split() for line in step.text.splitlines()]
        commands = [["-m", COMMANDS[program], *arguments] for program, *arguments in words]
    for command in commands:
        result = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-5000:]


@pytest.mark.parametrize("heading", EXAMPLES)
def test_an_example_does_what_it_says(heading: str, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    ran = 0
    for step in steps(heading):
        path = checkout / step.path
        if step.action == "New file":
            assert not path.exists()
            path.write_text(step.text)
        elif step.action == "In":
            path.write_text(edited(path.read_text(), step.text))
        else:
            execute(step, checkout)
            ran += 1
    assert ran


@pytest.mark.parametrize("heading", EXAMPLES)
def test_an_example_lists_the_files_that_it_touches(heading: str) -> None:
    touched = {step.path for step in steps(heading) if step.path.startswith("wsss/")}
    said = section(heading).split("\nNew file")[0].split("\nIn `")[0]
    assert touched
    assert [path for path in touched if f"`{Path(path).parent}/" not in said and path not in said] == []


def test_all_examples_are_run() -> None:
    headings = re.findall(r"(?m)^## (.+)$", EXTENDING.read_text(encoding="utf-8"))
    assert headings == [heading for heading, document in EXAMPLES.items() if document == EXTENDING]


def test_an_edit_that_fits_nowhere_or_twice_is_refused() -> None:
    assert edited("a\nb\nc\n", " a\n-b\n+d\n+e\n") == "a\nd\ne\nc\n"
    for text in ("b\nc\n", "a\nb\na\nb\n"):
        with pytest.raises(AssertionError, match="expected once"):
            edited(text, " a\n-b\n+d\n")
