"""Detect checks that cannot fail as they are written: ``return … == 200`` instead of ``assert``, ``assert (…, "text")``,
and a check whose name is given to another function.

pytest only warns about the first two, and ``-W ignore`` hides the warnings.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from plugins.integrity.collection_guard import CHECK_PREFIX, NO_CHECKS, decorators, is_group, parse
from plugins.integrity.python_source import defined_in
from plugins.stages import files_below

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def always_true(suites: Path) -> list[tuple[str, str]]:
    """Return the place of each such check or statement, and its mistake."""
    found: list[tuple[str, str]] = []
    for path in files_below(suites):
        tree = parse(path) if path.suffix == ".py" else None
        if tree is None:
            continue
        file = path.relative_to(suites.parent).as_posix()
        found += [
            (f"{file}:{node.lineno}", "asserts a tuple, which is always true; remove the parentheses")
            for node in ast.walk(tree)
            if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts
        ]
        if path.name.startswith("test_"):
            found += [
                (f"{file}::{name}", "returns a value, which checks nothing; use assert")
                for name in _returning(tree.body, "")
            ]
            found += [
                (f"{file}::{name}", "is replaced by another value further down in its file; rename one of them")
                for name in _replaced(tree.body, "")
            ]
    return found


def _returning(body: Sequence[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the names of the checks that return a value."""
    for node in defined_in(body):
        if isinstance(node, ast.ClassDef):
            if is_group(node):
                yield from _returning(node.body, f"{prefix}{node.name}::")
        elif node.name.startswith(CHECK_PREFIX) and not NO_CHECKS & decorators(node):
            own = list(_own(node))
            if any(isinstance(one, ast.Return) and not _is_none(one.value) for one in own):
                yield f"{prefix}{node.name}"


def _replaced(body: Sequence[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the checks whose names an assignment or an import gives to something else; a check that is wrapped stays one."""
    checks: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            checks.add(node.name)
        elif isinstance(node, ast.ClassDef) and is_group(node):
            yield from _replaced(node.body, f"{prefix}{node.name}::")
        for name in _bound(node):
            if name.startswith(CHECK_PREFIX) and name in checks:
                yield f"{prefix}{name}"


def _bound(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds, except those that its value uses."""
    match node:
        case ast.Assign(targets=targets, value=value):
            used = {one.id for one in ast.walk(value) if isinstance(one, ast.Name)}
            yield from (one.id for one in targets if isinstance(one, ast.Name) and one.id not in used)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (one.asname or one.name for one in names)


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a function, without functions and classes that it defines."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, _SCOPES):
            yield node
            yield from _own(node)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)
