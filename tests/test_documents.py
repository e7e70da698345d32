"""What the documents name exists: functions, config keys with their values, and what links lead to."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.imports import imports
from tests.support.settings import CONFIG

ROOT = Path(__file__).parent.parent
METHODS = ROOT / "docs" / "methods.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
EXTENDING = ROOT / "docs" / "extending.md"
FOLDERS = ("", "docs", "benchmarks", "tests/golden")
DOCUMENTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))

SPAN = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"(?ms)^```.*?^```")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"(?m)^#+ (.+)$")
# Of code spans, those that begin as a source file or as a section of config.yaml must be whole references.
CODE = re.compile(r"(?:wsss|rules)/[\w/]+\.py(?:: (?P<names>\w[\w.]*(?:, \w[\w.]*)*))?")
KEY = re.compile(r"(?P<keys>\w+(?:\.(?:\w+|\*))+)(?:: (?P<value>.+))?")


def spans(text: str) -> list[str]:
    """Code spans, however their lines are broken."""
    return [" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text))]


def code_references(text: str) -> list[str]:
    return [span for span in spans(text) if span.startswith(("wsss/", "rules/")) and ".py" in span]


def key_references(text: str) -> list[str]:
    return [span for span in spans(text) if span.partition(".")[0] in CONFIG and "." in span]


def wrong_code(reference: str) -> str | None:
    """What is wrong with a reference such as ``wsss/methods/cam.py: normalise, peaks``."""
    match = CODE.fullmatch(reference)
    if match is None:
        return f"{reference}: expected `path: name, name`"
    path = ROOT / reference.partition(":")[0]
    if not path.is_file():
        return f"{reference}: no such file"
    defined = set(definitions(ast.parse(path.read_text(encoding="utf-8")).body))
    missing = set((match["names"] or "").split(", ")) - defined - {""}
    return f"{reference}: {path.name} does not define {sorted(missing)}" if missing else None


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Names that a module or, behind its own name, a class defines."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


def wrong_key(reference: str) -> str | None:
    """What is wrong with a reference such as ``methods.adcam.steps: 2``; a key ``*`` is any."""
    match = KEY.fullmatch(reference)
    if match is None:
        return f"{reference}: expected `section.variant.key` or `section.variant.key: value`"
    found = list(values(CONFIG, match["keys"].split(".")))
    if not found:
        return f"{reference}: config.yaml has no such key"
    if match["value"] is not None and yaml.safe_load(match["value"]) not in found:
        return f"{reference}: config.yaml has {found}"
    return None


def values(settings: Any, keys: list[str]) -> Iterator[Any]:
    """All values under keys."""
    if not keys:
        yield settings
    elif isinstance(settings, Mapping):
        for key in settings if keys[0] == "*" else [keys[0]]:
            if key in settings:
                yield from values(settings[key], keys[1:])


def links(text: str) -> list[str]:
    """Targets of links and pictures that are no addresses of the web."""
    prose = SPAN.sub("", FENCE.sub("", text))
    return [target for target in LINK.findall(prose) if not re.match(r"[a-z]+:", target)]


def wrong_link(target: str, document: Path) -> str | None:
    """What is wrong with a link of a document to a file, a heading or both."""
    name, _, anchor = target.partition("#")
    path = document.parent / name if name else document
    if not path.exists():
        return f"{document.name}: {target}: no such file"
    if anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
        return f"{document.name}: {target}: no such heading"
    return None


def anchors(text: str) -> set[str]:
    """What GitHub calls a document's headings: lower case, no punctuation, numbered from the second on."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(FENCE.sub("", text)):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found[slug] = found.get(slug, 0) + 1
    return {f"{slug}-{i}" if i else slug for slug, count in found.items() for i in range(count)}


def test_the_methods_name_code_and_keys_that_exist() -> None:
    text = METHODS.read_text(encoding="utf-8")
    code, keys = code_references(text), key_references(text)
    assert len(code) > 50 and len(keys) > 100
    wrong = [*map(wrong_code, code), *map(wrong_key, keys)]
    assert [finding for finding in wrong if finding] == []


@pytest.mark.parametrize("document", [ARCHITECTURE, EXTENDING], ids=lambda path: path.name)
def test_the_documents_on_the_code_name_what_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    new = set(re.findall(r"(?m)^New file `([^`]+)`", text))
    code = [reference for reference in code_references(text) if reference not in new]
    assert len(code) > 20
    wrong = [*map(wrong_code, code), *map(wrong_key, key_references(text))]
    assert [finding for finding in wrong if finding] == []


def test_each_of_the_nine_questions_is_answered_with_a_file_and_what_is_in_it() -> None:
    section = ARCHITECTURE.read_text(encoding="utf-8").split("\n## Nine questions\n")[1]
    answers = re.split(r"(?m)^### (\d+)\. .+\?$", section)[1:]
    assert answers[::2] == [str(number) for number in range(1, 10)]
    unnamed = [
        number
        for number, answer in zip(answers[::2], answers[1::2], strict=True)
        if not any(": " in reference for reference in code_references(answer))
    ]
    assert unnamed == []
    assert "extending.md#a-single-stage-method" in answers[-1]


def test_the_table_of_layers_is_what_the_packages_import() -> None:
    rows = re.findall(r"(?m)^\| `wsss/(\w+)/` \| .+? \| (.+) \|$", ARCHITECTURE.read_text(encoding="utf-8"))
    said = {package: set(re.findall(r"`(\w+)`", names)) for package, names in rows}
    packages = [path.parent for path in (ROOT / "wsss").glob("*/__init__.py")]
    assert said == {package.name: imported(package) for package in packages}


def imported(package: Path) -> set[str]:
    """The other packages that one imports."""
    names = [name.split(".") for path in package.rglob("*.py") for name in imports(path)]
    return {name[1] for name in names if name[0] == "wsss"} - {package.name}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    found = [wrong_link(target, document) for target in links(document.read_text(encoding="utf-8"))]
    assert [finding for finding in found if finding] == []


def test_all_documents_are_looked_at() -> None:
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    expected = {"README.md", "CONTRIBUTING.md", "docs/methods.md", "docs/results.md", "docs/operations.md"}
    expected |= {"docs/architecture.md", "docs/extending.md", "docs/export.md"}
    assert expected <= names
    assert "#measured" in links((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("reference", "finding"),
    [
        ("wsss/methods/cam.py", None),
        ("wsss/methods/cam.py: normalise, peaks", None),
        ("wsss/methods/crf.py: DEEPLAB", None),
        ("wsss/methods/sparse.py: BINS", "does not define ['BINS']"),  # of another module
        ("wsss/models/apc.py: APC.forward", None),
        ("wsss/models/apc.py: APC.backward", "does not define ['APC.backward']"),
        ("wsss/methods/cam.py: normalise, pikes", "does not define ['pikes']"),
        ("wsss/methods/came.py: normalise", "no such file"),
        ("wsss/methods/cam.py normalise", "expected `path: name, name`"),
    ],
)
def test_a_wrong_reference_to_code_is_found(reference: str, finding: str | None) -> None:
    assert code_references(f"by `{reference}`.") == [reference]
    assert (wrong_code(reference) or "").endswith(finding or "")
    assert (wrong_code(reference) is None) == (finding is None)


@pytest.mark.parametrize(
    ("reference", "finding"),
    [
        ("methods.adcam.steps", None),
        ("methods.adcam_n020.steps: 2", None),  # of what it extends
        ("methods.*.neighbours: 0.2", None),
        ("segmenters.deeplabv2.network.rates: [6, 12, 18, 24]", None),
        ("methods.adcam.steps: 3", "config.yaml has [2]"),
        ("methods.adcam.stops", "config.yaml has no such key"),
        ("methods.cam.*.steps", "config.yaml has no such key"),
        ("methods.adcam.steps = 2", "expected `section.variant.key` or `section.variant.key: value`"),
    ],
)
def test_a_wrong_reference_to_a_key_is_found(reference: str, finding: str | None) -> None:
    assert key_references(f"key `{reference}`.") == [reference]
    assert (wrong_key(reference) or "").endswith(finding or "")
    assert (wrong_key(reference) is None) == (finding is None)


@pytest.mark.parametrize(
    ("target", "finding"),
    [
        ("b.md", None),
        ("b.md#two-words-1", None),
        ("#its-own-a-b", None),
        ("https://example.org/none.md#none", None),
        ("c.md", "no such file"),
        ("b.md#two-words-2", "no such heading"),
        ("#its-own", "no such heading"),
        ("b.md#no-heading", "no such heading"),
    ],
)
def test_a_wrong_link_is_found(target: str, finding: str | None, tmp_path: Path) -> None:
    text = f"# Its own: a, b\n\n[link]({target}), `[code](none.md)`\n"
    (tmp_path / "a.md").write_text(text)
    (tmp_path / "b.md").write_text("## Two words\n\n```\n# no heading\n```\n\n## Two words\n")
    found = [wrong_link(each, tmp_path / "a.md") for each in links(text)]
    assert [each.rpartition(": ")[2] for each in found if each] == ([finding] if finding else [])
