"""What modules of the project import, read in their source."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "wsss"


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a module imports, relative imports resolved."""
    parents = path.relative_to(PACKAGE.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parents[: -node.level]) + "." if node.level else ""
            yield from (f"{base}{node.module or ''}.{name.name}" for name in node.names)
