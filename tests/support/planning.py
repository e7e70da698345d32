"""Snakemake's plans."""

import functools
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def snakemake(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", *arguments]
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@functools.cache
def rules() -> dict[str, dict[str, list[str]]]:
    """Each rule's sections, a list of lines each, read from the formatted files."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"(?m)^(?=rule )", path.read_text())[1:]:
            name = block.split()[1].rstrip(":")
            found[name] = {}
            for line in block.splitlines()[1:]:
                if match := re.match(r"    (\w+):(.*)", line):
                    section = found[name].setdefault(match[1], [match[2]] if match[2] else [])
                elif line.strip():
                    section.append(line)
    return found
