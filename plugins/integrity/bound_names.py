"""Find the checks that a file imports, assigns or inherits, and whose names it did not bind when pytest imported it.

A condition, or an import that fails in a ``try``, removes such a check without a trace: no function in the file shows it.
"""

from __future__ import annotations

import ast
import sys
import unittest
from collections.abc import Iterator, Sequence
from pathlib import Path

from plugins.integrity.collection_guard import CHECK_PREFIX, GROUP_PREFIX, is_data, is_group, last_name, ways

NEVER_RUN = ("TYPE_CHECKING", "__name__")
"""A condition with one of these names is false when pytest imports a file, and no check is meant to stand behind it."""
STAR = "*"
Binding = ast.stmt | ast.NamedExpr
_NAMESPACES = ("globals", "vars", "locals")


def unbound(body: Sequence[ast.stmt], owner: object, suites: Path | None = None, prefix: str = "") -> Iterator[str]:
    """Yield the names of the checks that no branch bound. ``body`` defines ``owner``, a module or a class.

    ``suites``: the project's folder of checks; a class from a module outside the project, such as ``TestClient``, is no check.
    """
    for name, node in _bindings(body, owner):
        if name == STAR:
            continue
        if suites is not None and name.startswith(GROUP_PREFIX) and _is_of_a_library(node, suites):
            continue
        if not hasattr(owner, name):
            if not _is_field(name, node, owner):
                yield f"{prefix}{name}"
        elif _is_given_up(getattr(owner, name), node, body):
            yield f"{prefix}{name}"
        elif isinstance(node, ast.ClassDef) and getattr(getattr(owner, name), "__test__", True):
            yield from unbound(node.body, getattr(owner, name), suites, f"{prefix}{name}::")
    for statement in body:
        stars = [node for name, node in _bindings([statement], owner) if name == STAR]
        imports = [one for one in stars if isinstance(one, ast.ImportFrom)]
        absent = [one for one in imports if not one.level and one.module not in sys.modules]
        if absent and len(absent) == len(stars):  # else another import of the same statement took its place
            yield f"{prefix}from {absent[0].module} import {STAR}"


def _is_of_a_library(node: Binding, suites: Path) -> bool:
    """Return whether a statement imports from a module that neither the project's folder nor its suites hold."""
    if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
        return False
    package = node.module.partition(".")[0]
    places = [folder / package for folder in (suites.parent, suites)]
    return not any(place.is_dir() or place.with_suffix(".py").is_file() for place in places)


def _is_field(name: str, node: Binding, owner: object) -> bool:
    """Return whether a class has the name as a field, whose default a decorator such as ``dataclass`` has removed."""
    return isinstance(node, ast.AnnAssign) and isinstance(owner, type) and name in getattr(owner, "__annotations__", ())


def _is_given_up(value: object, node: Binding, body: Sequence[ast.stmt]) -> bool:
    """Return whether something else stands for a check: None or False after an import or a condition, or a class without one.

    A variable may be None by itself. A class may inherit its checks from a base that an import did not find, or with
    ``__test__ = False``, which switches them off in it, too.
    """
    if isinstance(node, ast.ClassDef) and isinstance(value, type):
        checks = [getattr(value, name, None) for name in dir(value) if name.startswith((CHECK_PREFIX, GROUP_PREFIX))]
        if "__test__" in vars(value) or is_data(value):
            return False
        if any(map(callable, checks)):
            return not getattr(value, "__test__", True)
        fallbacks = set(_bound_in_branches(body))
        return any(isinstance(base, ast.IfExp) or last_name(base) in fallbacks for base in node.bases)
    if value is None:
        return isinstance(node, ast.ImportFrom) or not _is_certain(node, body) or _depends(getattr(node, "value", None))
    return value is False and _depends(getattr(node, "value", None))


def _is_certain(node: Binding, body: Sequence[ast.stmt]) -> bool:
    """Return whether each run of a block reaches this binding, as far as no exception ends it."""
    return node in body or any(one is node and certain for each in body for one, certain in _walruses(each))


def _bound_in_branches(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names that an import or an assignment within ``if``, ``try`` and the like binds."""
    for statement in body:
        for node in (node for way in ways(statement) for block in way for one in block for node in ast.walk(one)):
            if isinstance(node, ast.ImportFrom | ast.Import):
                yield from (one.asname or one.name for one in node.names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _depends(value: ast.expr | None) -> bool:
    """Return whether an expression has one of two values: ``make() if full else None``, ``full and make()``."""
    if isinstance(value, ast.BoolOp):
        return isinstance(value.op, ast.And) or any(map(_depends, value.values))
    return isinstance(value, ast.IfExp)


def _walruses(node: ast.AST, certain: bool = True) -> Iterator[tuple[ast.NamedExpr, bool]]:
    """Yield each ``name := value`` of a statement outside of its blocks, and whether each run of it evaluates that."""
    if isinstance(node, ast.NamedExpr):
        yield node, certain
    for one in ast.iter_child_nodes(node):
        if isinstance(one, ast.stmt | ast.Lambda | ast.ExceptHandler | ast.match_case):
            continue  # code that runs later, or in another branch
        always = certain
        match node:
            case ast.IfExp(test=first) | ast.BoolOp(values=[first, *_]):
                always = certain and one is first
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                always = False
        yield from _walruses(one, always)


def _in_namespace(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield each name with its value that a statement binds in the module's own namespace, as ``globals()["test_x"] = …``."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                match target:
                    case ast.Subscript(value=owner, slice=ast.Constant(value=str(name))) if _is_namespace(owner):
                        yield name, value
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="setdefault", value=owner), args=[key, value])):
            if _is_namespace(owner) and isinstance(key, ast.Constant):
                yield str(key.value), value
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="update", value=owner), args=args, keywords=keywords)):
            if _is_namespace(owner):
                yield from ((one.arg, one.value) for one in keywords if one.arg is not None)
                pairs = [(key, one) for each in args if isinstance(each, ast.Dict) for key, one in _items(each)]
                yield from ((str(key.value), one) for key, one in pairs if isinstance(key, ast.Constant))
        case ast.Expr(value=ast.Call(func=ast.Name(id="setattr"), args=[owner, ast.Constant(value=str(name)), value])):
            if ast.unparse(owner) == "sys.modules[__name__]":
                yield name, value


def _items(node: ast.Dict) -> Iterator[tuple[ast.expr | None, ast.expr]]:
    yield from zip(node.keys, node.values, strict=True)


def _is_namespace(node: ast.expr) -> bool:
    """Return whether an expression is ``globals()``, or one that is the same in the module's own code."""
    return isinstance(node, ast.Call) and not node.args and last_name(node.func) in _NAMESPACES


def _bindings(body: Sequence[ast.stmt], owner: object) -> Iterator[tuple[str, Binding]]:
    """Yield each name of a check, or of a class of checks, that an import, an assignment or a class binds in any branch.

    A variable that the same block deletes is none: its author removed it, and no condition did.
    """
    gone = {
        one.id for node in body if isinstance(node, ast.Delete) for one in node.targets if isinstance(one, ast.Name)
    }
    for node in body:
        if not _never_runs(node):
            found: list[tuple[str, ast.expr, Binding]] = [(one.target.id, one.value, one) for one, _ in _walruses(node)]
            if not isinstance(owner, type):
                found += [(name, value, node) for name, value in _in_namespace(node)]
            checks = [(name, one) for name, value, one in found if _may_be_check(name) and _may_be_value(value)]
            yield from ((name, one) for name, one in checks if name not in gone)
        match node:
            case ast.ImportFrom(names=names):
                yield from ((one.asname or one.name, node) for one in names if _may_be_check(one.asname or one.name))
            case ast.Assign(targets=targets, value=value) if _may_be_value(value):
                several = isinstance(value, ast.Tuple | ast.List)  # ``test_rows = [load()]`` is data
                kept = [one for one in targets if not several or isinstance(one, ast.Tuple | ast.List)]
                named = [one.id for target in kept for one in ast.walk(target) if isinstance(one, ast.Name)]
                yield from ((name, node) for name in named if _may_be_check(name) and name not in gone)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if _may_be_value(value):
                if _may_be_check(name) and name not in gone:
                    yield name, node
            case ast.ClassDef(name=name, bases=bases) if is_group(node) or any(_is_case(one, owner) for one in bases):
                yield name, node
            case ast.If(orelse=other) if _never_runs(node):
                yield from _bindings(other, owner)
            case _:
                yield from (each for way in ways(node) for block in way for each in _bindings(block, owner))


def _is_case(base: ast.expr, owner: object) -> bool:
    """Return whether a base of a class is a ``unittest.TestCase``, whose subclasses pytest collects under any name."""
    value = getattr(owner, last_name(base), None) if isinstance(base, ast.Name) else None
    return isinstance(value, type) and issubclass(value, unittest.TestCase)


def _may_be_check(name: str) -> bool:
    return name == STAR or name.startswith((CHECK_PREFIX, GROUP_PREFIX))


def _may_be_value(value: ast.expr) -> bool:
    """Return whether a value may be a function or a class; a text, a number or a list is data of the checks."""
    if isinstance(value, ast.BoolOp):
        return any(isinstance(one, ast.Call | ast.Lambda | ast.BoolOp) and _may_be_value(one) for one in value.values)
    if isinstance(value, ast.Tuple | ast.List):
        return any(isinstance(one, ast.Call | ast.Lambda) for one in value.elts)
    return isinstance(value, ast.Call | ast.Name | ast.Attribute | ast.Lambda | ast.IfExp)


def _never_runs(node: ast.stmt) -> bool:
    """Return whether a statement is a condition that is false when pytest imports the file."""
    return isinstance(node, ast.If) and any(
        last_name(one) in NEVER_RUN for one in ast.walk(node.test) if isinstance(one, ast.expr)
    )
