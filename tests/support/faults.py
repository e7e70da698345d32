"""The table of faults in docs/operations.md, which the tests that show its rows read."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "operations.md"
HEADING = "| fault | what you see | what is kept | shown by |"


class Row(NamedTuple):
    """A row of the table: ``sees`` holds messages in backticks, with … for what differs from case to case."""

    fault: str
    sees: str
    kept: str
    tests: tuple[str, ...]

    def messages(self) -> list[str]:
        """What the user reads, word for word."""
        return re.findall("`([^`]+)`", self.sees)


def table() -> list[Row]:
    """The rows of the table."""
    lines = PAGE.read_text(encoding="utf-8").split(HEADING)[1].split("\n\n")[0].strip().splitlines()
    return [_row(line) for line in lines[1:]]


def _row(line: str) -> Row:
    fault, sees, kept, tests = (cell.strip() for cell in line.strip("| ").split(" | "))
    return Row(fault, sees, kept, tuple(re.findall("`([^`]+)`", tests)))


def row_of(test: str) -> Row:
    """The row that names a test, ``test_file.py::test_name``."""
    (row,) = [row for row in table() if test in row.tests]
    return row


def shows(output: str, message: str) -> bool:
    """Whether an output shows a message, however its lines are broken."""
    pattern = ".*?".join(re.escape(" ".join(part.split())) for part in message.split("…"))
    return re.search(pattern, " ".join(output.split())) is not None


def program_texts() -> list[str]:
    """Every text in the program's sources, with … where a value is put in."""
    root = TESTS.parent
    files = [root / "rules" / "run_stage.py", *(root / "wsss").rglob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return [_text(node) for tree in trees for node in ast.walk(tree) if _text(node)]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def exists(test: str) -> bool:
    """Whether ``folder/test_file.py::test_name`` is a test function below tests/."""
    file, _, name = test.partition("::")
    return (TESTS / file).is_file() and name in {function.name for function in functions(TESTS / file)}


def functions(file: Path) -> list[ast.FunctionDef]:
    """The functions of a test file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]
