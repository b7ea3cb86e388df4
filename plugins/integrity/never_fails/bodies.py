"""Bodies of checks that cannot fail: their assertions are caught, lost or never reached, or there are none."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from plugins.integrity.collection_guard import decorators, last_name
from plugins.integrity.never_fails.expressions import EXISTENCE, why_always_true
from plugins.integrity.never_fails.known import (
    BUILTINS,
    EXECUTORS,
    STATES,
    Function,
    Known,
    is_empty,
    is_iterable,
    names_bound,
    own_nodes,
)
from plugins.integrity.never_fails.statements import is_comparison

PLAIN = frozenset({"print", "repr", "str"})
"""Functions that do not fail with any argument that has been evaluated."""


def cannot_fail(body: Sequence[ast.stmt], known: Known) -> bool:
    """Return whether no statement of a check can fail, with any answer: it only sends requests, or does nothing.

    A body with another mistake that this package reports, such as a comparison without ``assert``, does not count.
    """
    return all(_inert(node, known) for node in _reached(body, known))


def _reached(body: Sequence[ast.stmt], known: Known) -> Iterator[ast.stmt]:
    """Yield the statements up to the one that always leaves the block."""
    for node in body:
        yield node
        if _leaves(node, known):
            return


def _leaves(node: ast.stmt, known: Known) -> bool:
    match node:
        case ast.Return() | ast.Break() | ast.Continue():
            return True
        case ast.If(test=test, body=body, orelse=other):
            always = known.truth(test)
            ways = [body, other] if always is None else [body if always else other]
            return all(any(_leaves(one, known) for one in way) for way in ways)
    return False


def only_asks(function: ast.FunctionDef | ast.AsyncFunctionDef, known: Known) -> bool:
    """Return whether the function only sends requests and asserts that there are answers: it passes with any answer.

    The arguments of a request do not count, such as ``order["id"]``, unless they use an answer.
    """
    return cannot_fail([_Bare(known).visit(copy.deepcopy(node)) for node in function.body], known)


@dataclass(frozen=True)
class _Bare(ast.NodeTransformer):
    """Turns the assertions that there is an answer into plain expressions, and removes the arguments of the requests."""

    known: Known

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if why_always_true(node.test, self.known) not in EXISTENCE:
            return node
        return ast.Assign([ast.Name("_")], self.visit(node.test))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        given = [*node.args, *(one.value for one in node.keywords)]
        used = {one.id for value in given for one in ast.walk(value) if isinstance(one, ast.Name)}
        if not self.known.is_answer(node) or used & (self.known.clients | self.known.answers):
            return node
        return ast.Call(node.func, [], [])


def sends(function: ast.AST, known: Known) -> bool:
    """Return whether the function, or one within it, sends a request by a client."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return any(known.is_answer(one) or _is_stream(one, known) for one in calls)


def _inert(node: ast.stmt, known: Known) -> bool:
    plain, block = partial(_plain, known=known), partial(cannot_fail, known=known)
    match node:
        case (
            ast.Pass()
            | ast.Break()
            | ast.Continue()
            | ast.Return(value=None | ast.Constant(value=None))
            | ast.Assert(test=ast.Constant(value=True))
        ):
            return True
        case ast.FunctionDef(decorator_list=[], args=ast.arguments(defaults=[], kw_defaults=[])):
            return True  # a call of it is no plain expression
        case ast.Assert(test=ast.Call(func=ast.Attribute(value=future, attr=state), args=[])):
            return known.is_future(future) and state in STATES
        case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")) as call) if (
            name in known.lists
        ):
            return _plain_arguments(call, known)
        case ast.Expr(value=value):
            return plain(value) and not is_comparison(value)
        case ast.Assign(targets=targets, value=value):
            names = targets[0].elts if isinstance(targets[0], ast.Tuple) and known.is_wait(value) else targets
            return (plain(value) or _is_lazy(value, known)) and all(isinstance(one, ast.Name) for one in names)
        case ast.AnnAssign(target=ast.Name(), value=value):
            return value is None or plain(value)
        case ast.If(test=test, body=body, orelse=other) if (always := known.truth(test)) is not None:
            return block(body if always else other)
        case ast.If(test=test, body=body, orelse=other):
            return plain(test) and block(body) and block(other)
        case ast.For(iter=over, orelse=other) if is_empty(over, known):
            return block(other)
        case ast.For(target=ast.Name(), iter=over, body=body, orelse=other):
            return _can_be_read(over, known) and block(body) and block(other)
        case ast.While(test=ast.Constant(value=value), orelse=other) if not value:
            return block(other)
        case ast.With(items=[first, *others], body=body):
            return _inert_with(first, [ast.With(others, body)] if others else body, known)
        case ast.Try() | ast.TryStar():
            return _inert_try(node, known)
    return False


def _inert_with(item: ast.withitem, body: Sequence[ast.stmt], known: Known) -> bool:
    match item.context_expr:
        case ast.Call(func=function, args=caught) if last_name(function) == "suppress":
            return cannot_fail(body, known) or any(_swallows(one, body, known) for one in caught)
        case ast.Call(func=ast.Name(id=name)) as call if name in known.quiet:
            return _plain_arguments(call, known) and (
                cannot_fail(body, known) or _swallows(known.quiet[name], body, known)
            )
        case ast.Call(func=function) as call if last_name(function) in EXECUTORS:
            return _plain(call, known) and cannot_fail(body, known)
        case ast.Call(func=function, args=[]) if last_name(function) == "ExitStack":
            for number, node in enumerate(body):
                match node:
                    case ast.Expr(ast.Call(func=ast.Attribute(attr="enter_context"), args=[entered])):
                        rest = [ast.With([ast.withitem(entered)], list(body[number + 1 :]) or [ast.Pass()])]
                        return cannot_fail([*body[:number], *rest], known)
            return cannot_fail(body, known)
    return cannot_fail(body, known) and _is_stream(item.context_expr, known)


def _inert_try(node: ast.Try | ast.TryStar, known: Known) -> bool:
    block = partial(cannot_fail, known=known)
    if any(isinstance(one, ast.Return) for one in node.finalbody):
        return block(node.finalbody)
    others = (node.orelse, node.finalbody, *(one.body for one in node.handlers))
    return all(map(block, others)) and (
        block(node.body) or any(_swallows(one.type, node.body, known) for one in node.handlers)
    )


def quiet_managers(tree: ast.Module, known: Known) -> dict[str, ast.expr]:
    """Return the context managers of a file that catch exceptions and go on, and these exceptions."""
    bound = Counter(name for node in ast.walk(tree) for name in names_bound(node))
    found: dict[str, ast.expr] = {}
    for one in tree.body:
        if isinstance(one, ast.FunctionDef) and decorators(one) == {"contextmanager"} and bound[one.name] == 1:
            inside = known.within(one, ())
            for number, node in enumerate(one.body):
                match node:
                    case ast.Try(body=[ast.Expr(value=ast.Yield())]) | ast.TryStar(body=[ast.Expr(value=ast.Yield())]):
                        blocks = [one.body[:number], one.body[number + 1 :], node.orelse, node.finalbody]
                        blocks += [one.body for one in node.handlers]
                        if all(cannot_fail(block, inside) for block in blocks):
                            caught = [one.type or ast.Name("BaseException") for one in node.handlers]
                            found[one.name] = ast.Tuple(caught)
    return found


def is_swallowed(check: Function, wrapper: Function, known: Known) -> bool:
    """Return whether a decorator's function ``wrapper``, which receives the check, calls it and catches its failures."""
    names = [one.arg for one in wrapper.args.args]
    within = [one for one in wrapper.body if isinstance(one, ast.FunctionDef)]
    leaves = any(isinstance(one, ast.Return) for one in own_nodes(check))
    if len(names) != 1 or len(within) != 1 or leaves or cannot_fail(check.body, known):
        return False
    called = _Called(names[0], check.body)
    body = [called.visit(copy.deepcopy(one)) for one in within[0].body]
    inside = replace(known, lists=frozenset())
    return called.calls == 1 and cannot_fail(body, inside)


class _Called(ast.NodeTransformer):
    """Puts the body of a check in the place of a call of it."""

    def __init__(self, name: str, body: list[ast.stmt]) -> None:
        self._name, self._body, self.calls = name, body, 0

    def visit(self, node: ast.AST) -> Any:
        match node:
            case (
                ast.Expr(value=ast.Call(func=ast.Name(id=name)))
                | ast.Return(value=ast.Call(func=ast.Name(id=name)))
                | ast.Assign(value=ast.Call(func=ast.Name(id=name)))
            ) if name == self._name:
                self.calls += 1
                return ast.If(ast.Constant(True), self._body, [])
        return self.generic_visit(node)


def _swallows(caught: ast.expr | None, body: Sequence[ast.stmt], known: Known) -> bool:
    """Return whether a handler of these exceptions catches each failure of the block for sure.

    ``pytest.fail`` raises no ``Exception``, so a call of an unknown function may pass through such a handler.
    """
    if caught is None:
        return True
    match caught:
        case ast.Tuple(elts=parts):
            return any(_swallows(one, body, known) for one in parts)
    match last_name(caught):
        case "BaseException":
            return True
        case "Exception":
            return all(_raises_exceptions_only(one, known) for node in body for one in ast.walk(node))
        case "AssertionError":
            return cannot_fail([_WithoutAssertions().visit(copy.deepcopy(node)) for node in body], known)
    return False


class _WithoutAssertions(ast.NodeTransformer):
    """Turns assertions into plain expressions, because their failures are caught."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.Assign([ast.Name("_")], node.test)


def _raises_exceptions_only(node: ast.AST, known: Known) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name in BUILTINS
        case ast.Call(func=function):
            while isinstance(function, ast.Attribute | ast.Call | ast.Subscript):
                function = function.func if isinstance(function, ast.Call) else function.value
            return isinstance(function, ast.Constant) or (
                isinstance(function, ast.Name) and function.id in known.clients | known.answers
            )
        case ast.Raise(exc=exception):
            raised = exception.func if isinstance(exception, ast.Call) else exception
            return raised is not None and last_name(raised) == "AssertionError"
        case ast.With() | ast.AsyncWith() | ast.Await() | ast.Yield() | ast.YieldFrom():
            return False
    return True


def _can_be_read(node: ast.expr, known: Known) -> bool:
    """Return whether a loop over the expression cannot fail by itself."""
    match node:
        case ast.Tuple() | ast.List():
            return _plain(node, known)
        case ast.Name(id=name) if name in known.values:
            return is_iterable(known.values[name])
        case ast.Call(func=ast.Name(id="range"), args=parts):
            return all(isinstance(one, ast.Constant) for one in parts)
    return known.is_future(node)


def _is_lazy(node: ast.expr, known: Known) -> bool:
    """Return whether the expression makes an iterator that runs nothing until something reads it."""
    match node:
        case ast.GeneratorExp(generators=[first, *_]):
            return _can_be_read(first.iter, known)
        case ast.Call(func=ast.Name(id=name)):
            return name in known.lazy and _plain_arguments(node, known)
    return False


def _is_stream(node: ast.expr, known: Known) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="stream")):
            return name in known.clients and _plain_arguments(node, known)
    return False


def _plain_arguments(node: ast.Call, known: Known) -> bool:
    given = (*node.args, *(one.value for one in node.keywords))
    return all(_plain(one, known) or _can_be_read(one, known) for one in given)


def _is_of_pool(node: ast.Call, known: Known) -> bool:
    match node.func:
        case ast.Attribute(value=ast.Name(id=name), attr="map" | "submit" | "shutdown"):
            return name in known.pools
        case function if last_name(function) in EXECUTORS:
            return True
        case ast.Attribute(value=future, attr=state):
            return state in STATES and not node.args and known.is_future(future)
    return False


def _plain(node: ast.expr | None, known: Known) -> bool:
    """Return whether evaluating the expression cannot fail, except that a request gets no answer at all."""
    match node:
        case None | ast.Constant() | ast.Name():
            return True
        case ast.Call():
            own = known.is_answer(node) or known.is_log(node) or known.is_wait(node) or _is_of_pool(node, known)
            own = own or (isinstance(node.func, ast.Name) and node.func.id in PLAIN)
            return own and _plain_arguments(node, known)
        case ast.ListComp(elt=one, generators=[ast.comprehension(target=ast.Name(), iter=over, ifs=[])]):
            return _plain(one, known) and _can_be_read(over, known)
        case ast.Lambda(args=ast.arguments(defaults=[], kw_defaults=[])):
            return True  # a call of it is no plain expression
        case ast.Attribute(value=value) | ast.FormattedValue(value=value) | ast.NamedExpr(value=value):
            return _plain(value, known)
        case ast.UnaryOp(op=ast.Not(), operand=value):
            return _plain(value, known)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.JoinedStr(values=parts) | ast.BoolOp(values=parts):
            return all(_plain(one, known) for one in parts)
        case ast.Dict(keys=keys, values=values):
            return all(_plain(one, known) for one in (*keys, *values))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _plain(left, known) and _plain(right, known)
        case ast.Compare(left=left, ops=ops, comparators=others):
            equal = all(isinstance(one, ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn) for one in ops)
            numbers = all(known.is_status(one) or isinstance(one, ast.Constant) for one in (left, *others))
            return (equal or numbers) and all(_plain(one, known) for one in (left, *others))
        case ast.IfExp(test=test, body=body, orelse=other):
            return all(_plain(one, known) for one in (test, body, other))
    return False
