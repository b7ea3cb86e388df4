"""Tell from the syntax tree alone which expressions are always true, and which bodies of checks cannot fail.

Only certain knowledge counts: a call of any other function, a subscript or an unknown statement may fail.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

CLIENTS = frozenset({"client", "fresh_client", "live_client", "fresh_live_client", "front_client"})
"""The fixtures that are an HTTP client. Its answers are always true, unlike those of the library requests."""
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request", "send"})
UNCALLED = frozenset({"json", "raise_for_status", "read"})
"""The methods of an answer; without their parentheses they are always true."""
EXECUTORS = frozenset({"ThreadPoolExecutor", "ProcessPoolExecutor"})
BUILTINS = frozenset(
    {"AssertionError", "all", "any", "bool", "int", "isinstance", "len", "list", "print", "set", "sorted", "str"}
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a function, without functions and classes that it defines."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, _SCOPES):
            yield node
            yield from own_nodes(node)


@dataclass(frozen=True)
class Known:
    """What is known about the names in a function: ``clients`` send requests, ``answers`` hold answers and nothing else."""

    clients: frozenset[str] = frozenset()
    answers: frozenset[str] = field(default=frozenset())
    pools: frozenset[str] = field(default=frozenset())
    """Executors of ``concurrent.futures``: they keep the exception of a call whose result the check does not read."""

    @classmethod
    def of(cls, function: ast.FunctionDef | ast.AsyncFunctionDef, clients: Collection[str]) -> Known:
        """Return what is known in a function that pytest calls, in which ``clients`` are fixtures or modules."""
        bound: dict[str, list[ast.expr | None]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.setdefault(node.id, []).append(None)
        known = cls(frozenset(clients) - bound.keys())
        for node in own_nodes(function):
            for name, value in _assigned(node):
                bound[name].remove(None)
                bound[name].append(value)
        answers = [name for name, values in bound.items() if all(map(known.is_answer, values))]
        return cls(known.clients, frozenset(answers))

    def is_answer(self, node: ast.expr | None) -> bool:
        """Return whether the expression is an answer of a client."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
                return name in self.clients and method in METHODS
            case ast.Name(id=name):
                return name in self.answers
            case ast.NamedExpr(value=value):
                return self.is_answer(value)
        return False


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((one.id, value) for one in targets if isinstance(one, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value


NOTHING_KNOWN = Known()
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
        case ast.Call(func=ast.Name(id="all"), args=[over]) if _is_empty(over):
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


def _is_empty(node: ast.expr) -> bool:
    """Return whether the expression is a list, tuple or generator without any element."""
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]):
            return True
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return _is_empty(first.iter)
    return False


# -- statements without an effect --------------------------------------------------------------------------------------


def lost_comparisons(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the comparisons that stand alone as a statement, except where their exception is expected."""
    for node in body:
        if isinstance(node, ast.Expr) and _is_comparison(node.value):
            yield node
        if isinstance(node, ast.With | ast.AsyncWith) and not all(_is_plain_context(one) for one in node.items):
            continue
        if isinstance(node, ast.Try | ast.TryStar) and node.handlers:
            blocks: list[list[ast.stmt]] = [node.orelse, node.finalbody]
        else:
            blocks = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
        blocks += [one.body for name in ("handlers", "cases") for one in getattr(node, name, [])]
        for block in blocks:
            yield from lost_comparisons(block)


def _is_comparison(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return all(map(_is_comparison, values))
    return False


def _is_plain_context(item: ast.withitem) -> bool:
    """Return whether an exception in the block is not expected there, as far as the names show it."""
    call = item.context_expr.func if isinstance(item.context_expr, ast.Call) else item.context_expr
    name = (call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else "").lower()
    return not any(word in name for word in ("raises", "warns", "suppress", "fail", "call", "expect"))


def calls_without_effect(scope: ast.AST, outer: Mapping[str, str] = MappingProxyType({})) -> Iterator[tuple[int, str]]:
    """Yield the line and the mistake of each call that stands alone and only creates a coroutine or a generator.

    Only functions of the same file count whose names nothing else binds. ``outer``: the remedy for each of those around ``scope``.
    """
    nodes = list(_nodes_of(scope))
    functions = [one for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    bound = Counter(name for one in nodes for name in _names_bound(one))
    names = {name: remedy for name, remedy in outer.items() if name not in bound}
    names |= {one.name: remedy for one in functions if bound[one.name] == 1 and (remedy := _how_to_run(one))}
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id=name))) if name in names:
                yield node.lineno, f"calls {name}, which does not run by that; {names[name]}"
    for node in nodes:
        if isinstance(node, _SCOPES):
            yield from calls_without_effect(node, outer if isinstance(scope, ast.ClassDef) else names)


def _nodes_of(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a scope, with the functions and classes that it defines, but without their parts."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, _SCOPES):
            yield from _nodes_of(node)


def _names_bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield other or name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
        case (
            ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name)
        ):
            yield name


def _how_to_run(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """Return how to run a coroutine or generator function; None for any other, and for one that a decorator may change."""
    decorated = {_name_of(one) for one in function.decorator_list}
    if decorated:
        return "use it in a with statement" if decorated <= {"contextmanager", "asynccontextmanager"} else None
    if any(isinstance(one, ast.Yield | ast.YieldFrom) for one in own_nodes(function)):
        return "iterate over its result"
    return "await it, or use asyncio.run(…)" if isinstance(function, ast.AsyncFunctionDef) else None


# -- bodies that cannot fail -------------------------------------------------------------------------------------------


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
            return plain(value) and not _is_comparison(value)
        case ast.Assign(targets=targets, value=value):
            return plain(value) and all(isinstance(one, ast.Name) for one in targets)
        case ast.AnnAssign(target=ast.Name(), value=value):
            return value is None or plain(value)
        case ast.If(test=ast.Constant(value=value), body=body, orelse=other):
            return block(body if value else other)
        case ast.If(test=test, body=body, orelse=other):
            return plain(test) and block(body) and block(other)
        case ast.For(iter=over, orelse=other) if _is_empty(over):
            return block(other)
        case ast.For(target=ast.Name(), iter=ast.Tuple() | ast.List() as over, body=body, orelse=other):
            return plain(over) and block(body) and block(other)
        case ast.While(test=ast.Constant(value=value), orelse=other) if not value:
            return block(other)
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=function, args=caught))], body=body) if (
            _name_of(function) == "suppress"
        ):
            return block(body) or any(_swallows(one, body, known) for one in caught)
        case ast.With(items=[ast.withitem(ast.Call(func=function) as call, ast.Name(id=pool))], body=body) if (
            _name_of(function) in EXECUTORS
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
    match _name_of(caught):
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
            return _name_of(raised) == "AssertionError"
        case ast.With() | ast.AsyncWith() | ast.Await() | ast.Yield() | ast.YieldFrom():
            return False
    return True


def _name_of(node: ast.expr | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


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
            return equal and all(_plain(one, known) for one in (left, *others))
        case ast.IfExp(test=test, body=body, orelse=other):
            return all(_plain(one, known) for one in (test, body, other))
    return False
