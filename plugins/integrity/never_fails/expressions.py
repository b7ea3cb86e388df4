"""Expressions that are always true when they are asserted."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from plugins.integrity.never_fails.known import NOTHING_KNOWN, UNCALLED, Known

_AN_ANSWER = "asserts an answer, which is true with any status; compare its status_code"
_THERE_IS_AN_ANSWER = "asserts that there is an answer, which is always true; compare its status_code"
EXISTENCE = frozenset({_AN_ANSWER, _THERE_IS_AN_ANSWER})
"""The mistakes that do no harm beside an assertion that can fail: ``assert answer is not None`` before one about its status."""


def why_always_true(node: ast.expr, known: Known = NOTHING_KNOWN) -> str | None:
    """Return what is always true in an asserted expression, and the remedy; None if it may be false."""
    if known.is_answer(node):
        return _AN_ANSWER
    match node:
        case ast.Constant(value=value) if value:
            return "asserts a constant, which is always true; assert a comparison"
        case ast.JoinedStr(values=parts) if any(isinstance(one, ast.Constant) and one.value for one in parts):
            return "asserts a text, which is always true; put the condition before it"
        case ast.Tuple(elts=parts) if _any_plain(parts):
            return "asserts a tuple, which is always true; remove the parentheses"
        case ast.List(elts=parts) | ast.Set(elts=parts) if _any_plain(parts):
            return "asserts a list or set that is not empty, which is always true; assert a comparison"
        case ast.Dict(keys=keys) if any(keys):
            return "asserts a dictionary that is not empty, which is always true; assert a comparison"
        case ast.GeneratorExp():
            return "asserts a generator, which is always true; use all(…) or any(…)"
        case ast.Lambda():
            return "asserts a function, which is always true; call it"
        case ast.Attribute(value=value, attr=name) if name in UNCALLED and known.is_answer(value):
            return f"asserts the method {name}, which is always true; call it"
        case ast.Compare(left=left, ops=[ast.IsNot() | ast.NotEq()], comparators=[ast.Constant(value=None)]) if (
            known.is_answer(left)
        ):
            return _THERE_IS_AN_ANSWER
        case ast.Call(func=ast.Name(id="all"), args=[over]) if is_empty(over):
            return "asserts all(…) of nothing, which is always true; give it the elements"
        case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)) if not value:
            return "asserts a constant, which is always true; assert a comparison"
        case ast.NamedExpr(value=value):
            return why_always_true(value, known)
        case ast.IfExp(body=body, orelse=other) if why_always_true(body, known):
            return why_always_true(other, known)
        case ast.BoolOp(op=ast.And(), values=values) if all(why_always_true(one, known) for one in values):
            return why_always_true(values[0], known)
        case ast.BoolOp(op=ast.Or(), values=values) if any(why_always_true(one, known) for one in values):
            return "asserts an 'or' with a side that is always true; compare both sides, such as status in (200, 204)"
    return None


def _any_plain(parts: Iterable[ast.expr]) -> bool:
    return any(not isinstance(one, ast.Starred) for one in parts)


def is_empty(node: ast.expr) -> bool:
    """Return whether the expression is a list, tuple or generator without any element."""
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]):
            return True
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return is_empty(first.iter)
    return False
