"""What mkdocs cannot do by itself: pages of files outside docs/, their links, a page of API per package."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Documents outside docs/, as the repository and as the site names them.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "tests/golden/README.md": "golden.md",
}
INSIDE = {site: repository for repository, site in OUTSIDE.items()}
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
FENCE = re.compile(r"(?ms)(^```.*?^```|`[^`\n]*`)")
# What docstrings have from Sphinx: a role and, in the text that Markdown made of it, the code that it names.
ROLE = re.compile(r":(?:class|func|data|attr|meth|mod):<code>~?\.?([\w.]+)(?:\(\))?</code>")


def on_files(files: Files, config: Any) -> Files:
    """Add the documents outside docs/ and the pages of the API."""
    for repository, site in OUTSIDE.items():
        files.append(File.generated(config, site, content=(ROOT / repository).read_text(encoding="utf-8")))
    pages = dict(api_pages())
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    _nav_entry(config.nav)["API"] = list(pages)
    return files


def _nav_entry(nav: list[Any]) -> dict[str, Any]:
    return next(entry for entry in nav if isinstance(entry, dict) and "API" in entry)


def api_pages() -> Iterator[tuple[str, str]]:
    """A page per package of wsss, which lists all of its modules."""
    for package in sorted(path.parent for path in (ROOT / "wsss").glob("*/__init__.py")):
        modules = sorted(path for path in package.rglob("*.py") if path.stem != "__init__")
        names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
        text = "\n\n".join([f"# wsss.{package.name}", *(f"::: {name}" for name in names)])
        yield f"api/{package.name}.md", text + "\n"


def on_page_markdown(markdown: str, page: Any, **others: Any) -> str:
    """Let links lead to the pages that files of the repository became."""
    here = INSIDE.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    parts = FENCE.split(markdown)
    return "".join(
        part if number % 2 else LINK.sub(lambda link: link[1] + target_on_site(link[2], here) + link[3], part)
        for number, part in enumerate(parts)
    )


def target_on_site(target: str, document: str) -> str:
    """A link's target as the site knows it.

    Args:
        target: As it stands in the document.
        document: Path of the document in the repository.

    Returns:
        The same where it leads out of the documents.
    """
    path, hash_sign, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", target):
        return target
    repository = posixpath.normpath(posixpath.join(posixpath.dirname(document), path))
    site = OUTSIDE.get(repository) or repository.removeprefix("docs/")
    start = posixpath.dirname(OUTSIDE.get(document) or document.removeprefix("docs/"))
    return posixpath.relpath(site, start or ".") + hash_sign + anchor


def on_page_content(html: str, page: Any, **others: Any) -> str:
    """Turn Sphinx's roles in docstrings into links; a full name that nothing has fails a strict build."""
    return ROLE.sub(_reference, html) if page.file.src_uri.startswith("api/") else html


def _reference(role: re.Match[str]) -> str:
    name = role[1]
    if not name.startswith("wsss."):
        return f"<code>{name}</code>"
    return f'<autoref identifier="{name}"><code>{name.rpartition(".")[2]}</code></autoref>'
