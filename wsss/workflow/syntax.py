"""What parsed sources say, a statement at a time, without a look at other modules."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator


class Strip(ast.NodeTransformer):
    """Drop docstrings and every other expression that is only a constant."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """None for what is dropped."""
        return None if isinstance(node.value, ast.Constant) else node


def bound_names(statement: ast.stmt) -> list[str]:
    """Names that a definition or assignment binds; empty for any other statement."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return []
    nodes = [node for target in targets for node in ast.walk(target)]
    if any(isinstance(node, ast.Attribute | ast.Subscript) for node in nodes):
        return []  # sets something that exists elsewhere: an import-time effect
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def registers(statement: ast.stmt) -> bool:
    """Whether a decorator enters the definition in a registry, from which it is called without its name."""
    if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return False
    return any("regist" in ast.unparse(decorator) for decorator in statement.decorator_list)


def dotted_names(statement: ast.stmt, without: Collection[ast.expr] = ()) -> Iterator[str]:
    """Names and attribute chains of names, each chain once and whole, but for some of the chains."""
    inner = {id(part) for chain in without for part in ast.walk(chain)}
    for node in ast.walk(statement):
        if id(node) in inner or not isinstance(node, ast.Name | ast.Attribute):
            continue
        attributes: list[str] = []
        part: ast.expr = node
        while isinstance(part, ast.Attribute):
            attributes.append(part.attr)
            part = part.value
            inner.add(id(part))
        if isinstance(part, ast.Name):
            yield ".".join([part.id, *reversed(attributes)])


def dump(statement: ast.stmt) -> str:
    """A statement as text, the same under all versions of Python."""
    # Python 3.12 adds an empty field to functions and classes; results must survive that upgrade.
    return ast.dump(statement).replace(", type_params=[]", "")


def assigned(statement: ast.stmt) -> str | None:
    """Source of what an assignment binds; None for any other statement."""
    value = getattr(statement, "value", None)
    return ast.unparse(value) if isinstance(value, ast.expr) else None


def methods_alone(statement: ast.stmt) -> ast.stmt:
    """A model without its fields, and without validators, which refuse and fill in values."""
    if not isinstance(statement, ast.ClassDef):
        return statement
    methods: list[ast.stmt] = [
        part for part in statement.body if isinstance(part, ast.FunctionDef) and not _validates(part)
    ]
    return ast.ClassDef(statement.name, statement.bases, [], methods, [])


def _validates(method: ast.FunctionDef) -> bool:
    return any("validator" in ast.unparse(decorator) for decorator in method.decorator_list)


def is_annotation(statement: ast.stmt) -> bool:
    """Whether a name stands for a type with constraints, such as a choice of models."""
    value = getattr(statement, "value", None)
    return isinstance(value, ast.Subscript) and ast.unparse(value.value) == "Annotated"
