"""Bodies of checks that cannot fail: their assertions are caught, lost or never reached, or there are none."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from plugins.integrity.collection_guard import last_name
from plugins.integrity.never_fails.expressions import EXISTENCE, why_always_true
from plugins.integrity.never_fails.known import BUILTINS, EXECUTORS, Known, is_empty
from plugins.integrity.never_fails.statements import is_comparison


def cannot_fail(body: Sequence[ast.stmt], known: Known) -> bool:
    """Return whether no statement of a check can fail, with any answer: it only sends requests, or does nothing.

    A body with another mistake that this package reports, such as a comparison without ``assert``, does not count.
    """
    return all(_inert(node, known) for node in _reached(body))


def _reached(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements up to the one that always leaves the block."""
    for node in body:
        yield node
        if isinstance(node, ast.Return | ast.Break | ast.Continue):
            return


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
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="map" | "submit")) as call) if (
            name in known.pools
        ):
            return all(plain(one) or _is_range(one) for one in (*call.args, *(one.value for one in call.keywords)))
        case ast.Expr(value=value):
            return plain(value) and not is_comparison(value)
        case ast.Assign(targets=targets, value=value):
            return plain(value) and all(isinstance(one, ast.Name) for one in targets)
        case ast.AnnAssign(target=ast.Name(), value=value):
            return value is None or plain(value)
        case ast.If(test=ast.Constant(value=value), body=body, orelse=other):
            return block(body if value else other)
        case ast.If(test=test, body=body, orelse=other):
            return plain(test) and block(body) and block(other)
        case ast.For(iter=over, orelse=other) if is_empty(over):
            return block(other)
        case ast.For(target=ast.Name(), iter=ast.Tuple() | ast.List() as over, body=body, orelse=other):
            return plain(over) and block(body) and block(other)
        case ast.While(test=ast.Constant(value=value), orelse=other) if not value:
            return block(other)
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=function, args=caught))], body=body) if (
            last_name(function) == "suppress"
        ):
            return block(body) or any(_swallows(one, body, known) for one in caught)
        case ast.With(items=[ast.withitem(ast.Call(func=function) as call, ast.Name(id=pool))], body=body) if (
            last_name(function) in EXECUTORS
        ):
            return _plain_arguments(call, known) and cannot_fail(body, replace(known, pools=known.pools | {pool}))
        case ast.With(items=items, body=body):
            return block(body) and all(_is_stream(one.context_expr, known) for one in items)
        case ast.Try(finalbody=final) if any(isinstance(one, ast.Return) for one in final):
            return block(final)
        case ast.Try(body=body, handlers=[_, *_] as handlers, orelse=other, finalbody=final) if not block(body) and all(
            map(block, (other, final, *(one.body for one in handlers)))
        ):
            return any(_swallows(one.type, body, known) for one in handlers)
        case ast.Try(body=body, handlers=handlers, orelse=other, finalbody=final):
            return all(map(block, (body, other, final, *(one.body for one in handlers))))
    return False


def _swallows(caught: ast.expr | None, body: Sequence[ast.stmt], known: Known) -> bool:
    """Return whether a handler of these exceptions catches each failure of the block for sure.

    ``pytest.fail`` raises no ``Exception``, so a call of an unknown function may pass through such a handler.
    """
    match caught:
        case None:
            return True
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
            return last_name(raised) == "AssertionError"
        case ast.With() | ast.AsyncWith() | ast.Await() | ast.Yield() | ast.YieldFrom():
            return False
    return True


def _is_range(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="range"), args=parts):
            return all(isinstance(one, ast.Constant) for one in parts)
    return False


def _is_stream(node: ast.expr, known: Known) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="stream")):
            return name in known.clients and _plain_arguments(node, known)
    return False


def _plain_arguments(node: ast.Call, known: Known) -> bool:
    return all(_plain(one, known) for one in (*node.args, *(one.value for one in node.keywords)))


def _plain(node: ast.expr | None, known: Known) -> bool:
    """Return whether evaluating the expression cannot fail, except that a request gets no answer at all."""
    match node:
        case None | ast.Constant() | ast.Name():
            return True
        case ast.Call():
            own = known.is_answer(node) or (isinstance(node.func, ast.Name) and node.func.id == "print")
            return own and _plain_arguments(node, known)
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
