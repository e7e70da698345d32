"""The site's hooks: what documents of the repository link to, and a page of API for every package."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("target", "document", "expected"),
    [
        ("docs/methods.md#scores", "README.md", "methods.md#scores"),
        ("../README.md#data", "docs/methods.md", "index.md#data"),
        ("../CHANGELOG.md", "docs/methods.md", "CHANGELOG.md"),
        ("results.md", "docs/methods.md", "results.md"),
        ("docs/examples.png", "README.md", "examples.png"),
        ("tests/golden/README.md", "CONTRIBUTING.md", "golden.md"),
        ("#scores", "docs/methods.md", "#scores"),
        ("https://example.org/a.md", "README.md", "https://example.org/a.md"),
    ],
)
def test_links_lead_to_the_site_s_pages(hooks: ModuleType, target: str, document: str, expected: str) -> None:
    assert hooks.target_on_site(target, document) == expected


def test_code_is_left_alone(hooks: ModuleType) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    text = "[a](docs/methods.md), `[b](docs/methods.md)`\n\n```\n[c](docs/methods.md)\n```\n"
    expected = text.replace("[a](docs/methods.md)", "[a](methods.md)")
    assert hooks.on_page_markdown(text, page) == expected


def test_the_api_has_every_module(hooks: ModuleType) -> None:
    listed = set(re.findall(r"(?m)^::: (\S+)$", "".join(text for _, text in hooks.api_pages())))
    modules = [path for path in (ROOT / "wsss").glob("*/**/*.py") if path.stem != "__init__"]
    assert listed == {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules}
