"""Expressions that are always true when they are asserted.

Linters have names for some of them: PLR0124 (comparison-with-itself), PLR0133 (comparison-of-constant), PLW0129
(assert-on-string-literal), F631 (assert-tuple), and pylint's missing-parentheses-for-call-in-test and redundant-unittest-assert.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from plugins.integrity.collection_guard import last_name
from plugins.integrity.never_fails.known import NOTHING_KNOWN, UNCALLED, Known, is_empty, literal

_AN_ANSWER = "asserts an answer, which is true with any status; compare its status_code"
_THERE_IS_AN_ANSWER = "asserts that there is an answer, which is always true; compare its status_code"
_A_STATUS = "asserts a status code, which is always true; compare it with the expected one, such as == 200"
_OTHER_KIND = "compares an answer with another kind of value, which is always true; compare its status_code"
_A_STATUS_EXISTS = "asserts a status code that every answer has; compare it with the expected one, such as == 200"
_WITH_ITSELF = "compares a value with itself, which is always true; compare it with the expected one"
_A_LIST = "asserts a list of comparisons, which is true whatever they are; use all(…)"
EXISTENCE = frozenset({_AN_ANSWER, _THERE_IS_AN_ANSWER, _A_STATUS_EXISTS})
"""The mistakes that do no harm beside an assertion that can fail: ``assert answer is not None`` before one about its status."""
STATUSES = range(100, 600)
PREDICATES = ("is_", "has_", "isinstance", "startswith", "endswith")
OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda left, right: left in right, ast.NotIn: lambda left, right: left not in right,
}  # fmt: skip
OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Eq: ast.NotEq, ast.Is: ast.IsNot, ast.In: ast.NotIn}
UNITTEST: dict[str, type[ast.cmpop] | None] = {
    "assertTrue": None, "assertEqual": ast.Eq, "assertNotEqual": ast.NotEq, "assertIs": ast.Is, "assertIsNot": ast.IsNot,
    "assertGreaterEqual": ast.GtE, "assertGreater": ast.Gt, "assertNotIn": ast.NotIn,
}  # fmt: skip
"""The assertions of unittest, and the comparisons that they make."""


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
        case ast.ListComp() | ast.SetComp() if _is_judgement(node):
            return _A_LIST
        case ast.Lambda():
            return "asserts a function, which is always true; call it"
        case ast.Name(id=name) if name in known.functions:
            return f"asserts the function {name}, which is always true; call it"
        case ast.Attribute(value=value, attr=name) if name in UNCALLED and known.is_answer(value):
            return f"asserts the method {name}, which is always true; call it"
        case ast.Attribute() if known.is_status(node):
            return _A_STATUS
        case ast.Compare():
            return _why_compared(node, known)
        case ast.Call(func=ast.Name(id="all"), args=[over]) if is_empty(over, known):
            return "asserts all(…) of nothing, which is always true; give it the elements"
        case ast.Call(func=ast.Name(id="bool"), args=[value], keywords=[]):
            return why_always_true(value, known)
        case ast.Call(func=ast.Name(id="list" | "set" | "tuple"), args=[value]) if _is_judgement(value):
            return _A_LIST
        case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name in known.lazy:
            return f"asserts {name}(…), which is always true; use all(…) or any(…)"
        case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)) if not value:
            return "asserts a constant, which is always true; assert a comparison"
        case ast.UnaryOp(op=ast.Not(), operand=ast.Compare(left=left, ops=[one], comparators=others)) if (
            opposite := OPPOSITES.get(type(one))
        ):
            return _why_compared(ast.Compare(left, [opposite()], others), known)
        case ast.NamedExpr(value=value):
            return why_always_true(value, known)
        case ast.IfExp(body=body, orelse=other) if why_always_true(body, known):
            return why_always_true(other, known)
        case ast.BoolOp(op=ast.And(), values=values) if any(map(known.is_status, values)) and not any(
            known.is_status(one) for value in values if not known.is_status(value) for one in _parts(value)
        ):
            return _A_STATUS
        case ast.BoolOp(op=ast.And(), values=values) if all(why_always_true(one, known) for one in values):
            return why_always_true(values[0], known)
        case ast.BoolOp(op=ast.Or(), values=values) if any(why_always_true(one, known) for one in values):
            return "asserts an 'or' with a side that is always true; compare both sides, such as status in (200, 204)"
    return None


def why_unittest_passes(node: ast.Call, known: Known) -> str | None:
    """Return why an assertion of ``unittest`` always passes, or cannot mean what it says; None if neither is certain."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="self"), attr="assertTrue" | "assertFalse" as name),
            args=[_, ast.Constant(value=int() | float()) | ast.Attribute(value=ast.Name(id="HTTPStatus"))],
        ):
            return f"gives {name} two values, of which the second is only its message; use assertEqual"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr="assertTrue"), args=[value, *_]):
            return why_always_true(value, known)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name), args=[left, right, *_]):
            kind = UNITTEST.get(name)
            return _why_compared(ast.Compare(left, [kind()], [right]), known) if kind else None
    return None


def _why_compared(node: ast.Compare, known: Known) -> str | None:
    operands, found = [node.left, *node.comparators], [type(one) for one in node.ops]
    values = [literal(one) for one in operands]
    if all(values):
        return "compares constants, which is always true; compare the answer" if _holds(found, values) else None
    statuses = [one for one in operands if known.is_status(one)]
    if statuses and all(one or operand in statuses for one, operand in zip(values, operands, strict=True)):
        same = len(statuses) == 1 or (len({*map(ast.dump, statuses)}) == 1 and _is_stable(statuses[0]))
        if same and all(_holds(found, [one or (status,) for one in values]) for status in STATUSES):
            return _A_STATUS_EXISTS if any(values) else _WITH_ITSELF
    if len(found) != 1:
        return None
    [first, second], [kind] = operands, found
    if known.is_answer(first) and kind in {ast.IsNot, ast.NotEq, ast.NotIn}:
        if values[1] == (None,):
            return _THERE_IS_AN_ANSWER if kind is not ast.NotIn else None
        return _OTHER_KIND if values[1] else None
    if known.is_answer(second) and kind in {ast.IsNot, ast.NotEq} and values[0]:
        return _OTHER_KIND
    if kind in {ast.Eq, ast.Is, ast.GtE, ast.LtE} and ast.dump(first) == ast.dump(second) and _is_stable(first):
        return _WITH_ITSELF
    lengths = [_is_length(first) and values[1], _is_length(second) and values[0]]
    least = [kind in {ast.GtE}, kind in {ast.LtE}]
    if any(length == (0,) and always for length, always in zip(lengths, least, strict=True)):
        return "compares a length with 0, which is always true; use > 0"
    return None


def _holds(kinds: Iterable[type[ast.cmpop]], values: Iterable[tuple[Any] | None]) -> bool:
    """Return whether a comparison of these values is true."""
    pairs = zip(kinds, pairwise(one[0] for one in values if one), strict=True)
    try:
        return all(OPERATORS[kind](left, right) for kind, (left, right) in pairs)
    except TypeError:
        return False


def _is_stable(node: ast.expr) -> bool:
    """Return whether an expression has the same value if it is evaluated again, as far as its text shows it."""
    return not any(isinstance(one, ast.Call | ast.Await | ast.NamedExpr | ast.Yield) for one in ast.walk(node))


def _is_length(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "len"


def _is_judgement(node: ast.expr) -> bool:
    """Return whether the elements of a list are comparisons or other judgements, so that only ``all`` or ``any`` makes sense."""
    match node:
        case ast.ListComp(elt=one) | ast.SetComp(elt=one) | ast.GeneratorExp(elt=one):
            return _is_bool(one)
        case ast.Call(func=ast.Name(id="map"), args=[ast.Lambda(body=body), *_]):
            return _is_bool(body)
    return False


def _is_bool(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return all(map(_is_bool, values))
        case ast.Attribute() | ast.Call(func=ast.Attribute() | ast.Name()):
            return last_name(node.func if isinstance(node, ast.Call) else node).startswith(PREDICATES)
    return False


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    return (one for one in ast.walk(node) if isinstance(one, ast.expr))


def _any_plain(parts: Iterable[ast.expr]) -> bool:
    return any(not isinstance(one, ast.Starred) for one in parts)
