"""A digest of the code that a stage runs: what it reaches by name in this package, and nothing else.

Snakemake's own ``code`` trigger compares dates of one file. This digest follows the names that ``run`` refers
to, through every module of the package, and hashes the parsed definitions without comments, docstrings and
formatting. A rule carries it as a parameter, so an edit that matters reruns exactly its readers. Files that
are no source code, such as a page's template, count where their reader lists them in ``RESOURCES``.

Of the models of settings only methods count: the values reach a job as its parameters, so that a new setting
or another default reruns the jobs that it concerns.

A dict of modules is a table whose columns are the members that its modules have in common. A comprehension
such as ``{key: module.member for key, module in TABLE.items()}`` refers to that column alone, and not to what
else the modules hold: who runs one member of each reruns for no other. A job that uses one entry of a table
alone may name its key; what other entries hold is then left out.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from wsss.workflow.syntax import (
    Strip,
    assigned,
    bound_names,
    dotted_names,
    dump,
    is_annotation,
    methods_alone,
    registers,
)

PACKAGE = Path(__file__).parents[1]
# A module's constant of this name lists the files beside it that it reads; the digest covers their bytes.
LISTED = "RESOURCES"


class Reference(NamedTuple):
    """A name of a module of the package; an empty name stands for the module itself, used as a value."""

    module: str
    name: str


@dataclass
class Module:
    """One parsed source file: its definitions by name, its imports, and the statements that run on import."""

    name: str
    is_package: bool
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)


@functools.cache
def fingerprint(stage: str, package: Path = PACKAGE, entry: str | None = None) -> str:
    """Digest the code that a stage runs.

    Args:
        stage: Name of the stage's module; the digest starts from its function ``run``.
        package: Folder of the package.
        entry: Key of the only entry that counts of each table that has it; None: all count.

    Returns:
        Sixteen hexadecimal digits; equal for sources that differ in comments, docstrings or formatting only.
    """
    start = Reference(module_of(stage, package), "run")
    if "run" not in _module(package, start.module).definitions:
        raise ValueError(f"stage {stage!r}: expected a function 'run' in {start.module}, found none")
    text = "\n".join(sorted(set(_collect(package, start, entry))))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reached(stage: str, package: Path = PACKAGE) -> set[str]:
    """List the dotted names of all definitions that a stage's digest covers."""
    start = Reference(module_of(stage, package), "run")
    return {f"{module}.{name}" for module, name in _walk(package, start) if name}


def module_of(stage: str, package: Path = PACKAGE) -> str:
    """The module of a stage, which lies in one of the folders of ``stages/``, by the name of its rule."""
    found = sorted((package / "stages").glob(f"**/{stage}.py"))
    if len(found) != 1:
        raise ValueError(f"stage {stage!r}: expected one module of this name in stages/, found {len(found)}")
    return ".".join(found[0].relative_to(package.parent).with_suffix("").parts)


def _collect(package: Path, start: Reference, entry: str | None) -> Iterator[str]:
    """Yield the parsed text of every reached definition, import-time statement and outside import."""
    references = _walk(package, start, entry)
    for reference in references:
        yield from _text(package, reference, entry)
    for module in {reference.module for reference in references}:
        source = _module(package, module)
        for statement in source.effects:
            yield dump(statement)
            yield from _outside(package, source, statement)


@functools.cache
def _text(package: Path, reference: Reference, entry: str | None) -> tuple[str, ...]:
    """Parsed text of one definition, and what it takes from outside, from tables and from listed files."""
    source, found = _module(package, reference.module), []
    for statement in _code(package, reference):
        found += [dump(statement), *_outside(package, source, statement)]
        found += _entries(package, source, statement, entry)
        if reference.name == LISTED:
            found += _resources(package, reference.module, statement)
    return tuple(found)


def _entries(package: Path, module: Module, statement: ast.stmt, entry: str | None) -> Iterator[str]:
    """Key and name of each member of a table's column; one that is None, as of a key less, says nothing."""
    for column in _columns(package, module, statement, entry):
        for key, (owner, name) in column.entries.items():
            definitions = _module(package, owner).definitions.get(name, [])
            if [assigned(definition) for definition in definitions] != ["None"]:
                yield f"{key}: {owner}.{name}"


def _resources(package: Path, module: str, statement: ast.stmt) -> Iterator[str]:
    """Name and digest of each file that a module's ``RESOURCES`` lists."""
    path = _file(package, module)
    if path is None or not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        raise ValueError(f"{module}.{LISTED}: expected names of files beside the module")
    for name in ast.literal_eval(statement.value):
        yield f"{name} {hashlib.sha256((path.parent / name).read_bytes()).hexdigest()}"


def _walk(package: Path, start: Reference, entry: str | None = None) -> set[Reference]:
    """Follow names from ``start`` until nothing new is found."""
    found: set[Reference] = set()
    queue = [start]
    while queue:
        reference = queue.pop()
        if reference in found:
            continue
        found.add(reference)
        queue.extend(_next(package, reference, entry))
    return found


@functools.cache
def _next(package: Path, reference: Reference, entry: str | None) -> frozenset[Reference]:
    """References made by one definition and by the import-time statements of its module."""
    module = _module(package, reference.module)
    targets = {Reference(name, "") for name in _imported_modules(package, module)}
    for statement in [*_code(package, reference), *module.effects]:
        targets |= set(_references(package, module, statement, entry))
    targets |= {
        Reference(module.name, name) for statement in module.effects for name in bound_names(statement)
    }
    return frozenset(targets)


def _code(package: Path, reference: Reference) -> list[ast.stmt]:
    """The statements of a definition, of which types and fields of settings are left out."""
    statements = _module(package, reference.module).definitions.get(reference.name, [])
    if _is_model(package, reference):
        return [methods_alone(statement) for statement in statements]
    config = reference.module.startswith(f"{package.name}.config.")
    return [statement for statement in statements if not (config and is_annotation(statement))]


@functools.cache
def _is_model(package: Path, reference: Reference) -> bool:
    """Whether a definition is a class that inherits the base of all settings."""
    if reference == Reference(f"{package.name}.config.fields", "Settings"):
        return True
    module = _module(package, reference.module)
    classes = [
        found for found in module.definitions.get(reference.name, []) if isinstance(found, ast.ClassDef)
    ]
    names = [ast.unparse(base) for found in classes for base in found.bases]
    return any(
        _is_model(package, base) for name in names for base in _resolve(package, module, module.aliases, name)
    )


def _imported_modules(package: Path, module: Module) -> Iterator[str]:
    """Modules of the package that importing ``module`` executes."""
    parents = module.name.split(".")
    yield from (".".join(parents[:depth]) for depth in range(1, len(parents)))
    for target in module.aliases.values():
        owner = _split(package, target)
        if owner is not None:
            yield owner.module


def _references(package: Path, module: Module, statement: ast.stmt, entry: str | None) -> Iterator[Reference]:
    """Names of the package that a statement mentions, imports inside it included."""
    inner = _aliases(package, module, ast.walk(statement))
    for target in inner.values():
        owner = _split(package, target)
        if owner is not None:
            yield Reference(owner.module, "")
    columns = list(_columns(package, module, statement, entry))
    for column in columns:
        for member in column.entries.values():
            yield from _definition(package, member)
    for dotted in dotted_names(statement, {column.table for column in columns}):
        yield from _resolve(package, module, module.aliases | inner, dotted)


class Column(NamedTuple):
    """One member of every module of a table, by key, and the name that reads the table in a comprehension."""

    table: ast.expr
    entries: dict[str, Reference]


def _columns(package: Path, module: Module, statement: ast.stmt, entry: str | None) -> Iterator[Column]:
    """Columns that a statement's comprehensions take of tables, where they use a module for nothing else.

    Of a table that has the entry they are that entry's part alone.
    """
    for node in ast.walk(statement):
        if not isinstance(node, ast.DictComp | ast.ListComp | ast.SetComp | ast.GeneratorExp):
            continue
        read, variable = _iteration(node.generators[0])
        table = _table(package, module, read) if read is not None else {}
        names = [part for part in ast.walk(node) if isinstance(part, ast.Name) and part.id == variable]
        members = [part for part in ast.walk(node) if isinstance(part, ast.Attribute) and part.value in names]
        if read is not None and table and len(members) + 1 == len(names):  # one name is the variable's own
            for name in {member.attr for member in members}:
                entries = {key: Reference(owner, name) for key, owner in table.items()}
                yield Column(read, {entry: entries[entry]} if entry in entries else entries)


def _iteration(generator: ast.comprehension) -> tuple[ast.expr | None, str]:
    """The function that gives a table's modules, ``TABLE.items`` or ``TABLE.values``, and their variable."""
    call, target = generator.iter, generator.target
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.args:
        return None, ""
    if call.func.attr == "items" and isinstance(target, ast.Tuple):
        target = target.elts[-1]
    elif call.func.attr != "values":
        return None, ""
    return (call.func, target.id) if isinstance(target, ast.Name) else (None, "")


def _table(package: Path, module: Module, read: ast.expr) -> dict[str, str]:
    """Modules by key where ``read`` is ``TABLE.items`` of a dict of modules of the package, else nothing."""
    named = ast.unparse(read).rpartition(".")[0]
    for owner, name in _resolve(package, module, module.aliases, named):
        for definition in _module(package, owner).definitions.get(name, []):
            value = getattr(definition, "value", None)
            if isinstance(value, ast.Dict):
                members = _modules(package, _module(package, owner), value)
                return members if len(members) == len(value.values) else {}
    return {}


def _modules(package: Path, module: Module, entries: ast.Dict) -> dict[str, str]:
    """Those entries of a dict that are modules of the package, by key."""
    found = {}
    for key, value in zip(entries.keys, entries.values, strict=True):
        target = module.aliases.get(ast.unparse(value))
        owner = _split(package, target) if target else None
        if isinstance(key, ast.Constant) and owner is not None and not owner.name:
            found[str(key.value)] = owner.module
    return found


def _resolve(package: Path, module: Module, aliases: dict[str, str], dotted: str) -> Iterator[Reference]:
    """Turn ``a.b.c``, as written in ``module``, into the definition that it names."""
    head, _, rest = dotted.partition(".")
    if head in module.definitions:
        yield Reference(module.name, head)
    if head not in aliases:
        return
    target = _split(package, f"{aliases[head]}.{rest}" if rest else aliases[head])
    if target is None:
        return
    yield from _definition(package, target)


def _definition(package: Path, target: Reference) -> Iterator[Reference]:
    """Follow re-exports to where a name is defined; a module used as a value means everything in it."""
    module = _module(package, target.module)
    names = [target.name] if target.name else list(module.definitions)
    yield Reference(target.module, "")
    for name in names:
        if name in module.definitions:
            yield Reference(target.module, name)
        elif name in module.aliases:
            yield from _resolve(package, module, module.aliases, name)


@functools.cache
def _split(package: Path, dotted: str) -> Reference | None:
    """Split a full dotted name into the deepest module of the package and the name in it; None if outside."""
    parts = dotted.split(".")
    if parts[0] != package.name:
        return None
    depth = 1
    while depth < len(parts) and _file(package, ".".join(parts[: depth + 1])) is not None:
        depth += 1
    return Reference(".".join(parts[:depth]), parts[depth] if depth < len(parts) else "")


def _outside(package: Path, module: Module, statement: ast.stmt) -> Iterator[str]:
    """Imports from elsewhere that a statement uses: another name of ``from numpy import mean`` matters."""
    for dotted in dotted_names(statement):
        head = dotted.partition(".")[0]
        target = module.aliases.get(head)
        if target is not None and _split(package, target) is None:
            yield f"import {target} as {head}"


@functools.cache
def _file(package: Path, module: str) -> Path | None:
    """Source file of a module of the package, or None."""
    base = package.parent.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _module(package: Path, name: str) -> Module:
    """Parse one module of the package."""
    path = _file(package, name)
    if path is None:
        raise ValueError(f"module {name}: expected a source file under {package}, found none")
    module = Module(name, is_package=path.name == "__init__.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for statement in Strip().visit(tree).body:
        _file_statement(package, module, statement)
    return module


def _file_statement(package: Path, module: Module, statement: ast.stmt) -> None:
    """Sort a module-level statement into definitions, imports and import-time effects."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        module.aliases |= _aliases(package, module, [statement])
        return
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
        return
    names = bound_names(statement)
    for name in names:
        module.definitions.setdefault(name, []).append(statement)
    if not names or registers(statement):
        module.aliases |= _aliases(package, module, ast.walk(statement))
        module.effects.append(statement)


def _aliases(package: Path, module: Module, nodes: Iterator[ast.AST] | list[ast.stmt]) -> dict[str, str]:
    """Local names that imports bind, each with the full dotted name it stands for."""
    aliases: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                target = name.name if name.asname else name.name.partition(".")[0]
                aliases[name.asname or target] = target
                if not name.asname and target == package.name:
                    # `import wsss.x` runs wsss.x even where only the name `wsss` is bound.
                    aliases[name.name] = name.name
        elif isinstance(node, ast.ImportFrom):
            base = _import_base(module, node)
            aliases |= {name.asname or name.name: f"{base}.{name.name}" for name in node.names}
    return aliases


def _import_base(module: Module, node: ast.ImportFrom) -> str:
    """Absolute name of the module after ``from``."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*parts, node.module] if node.module else parts)
