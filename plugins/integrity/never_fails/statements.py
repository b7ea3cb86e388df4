"""Statements without an effect: comparisons without ``assert``, and calls that run nothing.

flake8-bugbear calls them B015 (useless-comparison) and B018 (useless-expression).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from plugins.integrity.collection_guard import last_name
from plugins.integrity.never_fails.known import LAZY, SCOPES, names_bound, own_nodes


def lost_comparisons(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the comparisons that stand alone as a statement, except where their exception is expected."""
    for node in body:
        if isinstance(node, ast.Expr) and is_comparison(node.value):
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


def is_comparison(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return all(map(is_comparison, values))
        case ast.ListComp(elt=one) | ast.Call(func=ast.Name(id="all" | "any"), args=[ast.GeneratorExp(elt=one)]):
            return is_comparison(one)
    return False


def _is_plain_context(item: ast.withitem) -> bool:
    """Return whether an exception in the block is not expected there, as far as the names show it."""
    call = item.context_expr.func if isinstance(item.context_expr, ast.Call) else item.context_expr
    name = (call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else "").lower()
    return not any(word in name for word in ("raises", "warns", "suppress", "fail", "call", "expect"))


LAZY_CALLS = MappingProxyType(dict.fromkeys(LAZY, "use a for statement, or list(…)"))


def calls_without_effect(scope: ast.AST, outer: Mapping[str, str] = LAZY_CALLS) -> Iterator[tuple[int, str]]:
    """Yield the line and the mistake of each call that stands alone and only creates a coroutine or a generator.

    Only functions of the same file count whose names nothing else binds. ``outer``: the remedy for each of those around ``scope``.
    """
    nodes = list(_nodes_of(scope))
    functions = [one for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    bound = Counter(name for one in nodes for name in names_bound(one))
    names = {name: remedy for name, remedy in outer.items() if name not in bound}
    names |= {one.name: remedy for one in functions if bound[one.name] == 1 and (remedy := _how_to_run(one))}
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id=name))) if name in names:
                yield node.lineno, f"calls {name}, which does not run by that; {names[name]}"
            case ast.Expr(value=ast.GeneratorExp()):
                yield node.lineno, "creates a generator, which does not run by that; use a for statement, or list(…)"
    for node in nodes:
        if isinstance(node, SCOPES):
            yield from calls_without_effect(node, outer if isinstance(scope, ast.ClassDef) else names)


def _nodes_of(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a scope, with the functions and classes that it defines, but without their parts."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, SCOPES):
            yield from _nodes_of(node)


def _how_to_run(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """Return how to run a coroutine or generator function; None for any other, and for one that a decorator may change."""
    decorated = {last_name(one) for one in function.decorator_list}
    if decorated:
        return "use it in a with statement" if decorated <= {"contextmanager", "asynccontextmanager"} else None
    if any(isinstance(one, ast.Yield | ast.YieldFrom) for one in own_nodes(function)):
        return "iterate over its result"
    return "await it, or use asyncio.run(…)" if isinstance(function, ast.AsyncFunctionDef) else None


def lost_failures(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the mistake of each ``asyncio.gather`` and ``asyncio.wait`` that keeps failures which nothing reads.

    Only coroutines of the file count that assert, and store nothing that another statement may read.
    """
    bound = Counter(name for node in ast.walk(tree) for name in names_bound(node))
    asserting = {
        one.name for one in ast.walk(tree)
        if isinstance(one, ast.AsyncFunctionDef) and bound[one.name] == 1 and _only_asserts(one)
    }  # fmt: skip
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Await(value=ast.Call(func=function, args=given) as call)) if (
                last_name(function) == "gather" and _keeps_exceptions(call)
            ) or (
                ast.unparse(function) == "asyncio.wait"
                and given
                and isinstance(given[0], ast.List | ast.ListComp | ast.Set)
            ):
                called = {last_name(one.func) for part in given for one in ast.walk(part) if isinstance(one, ast.Call)}
                for name in sorted(called & asserting):
                    yield node.lineno, f"loses the failures of {name}; read the results, or await it"


def _only_asserts(function: ast.AsyncFunctionDef) -> bool:
    nodes = list(own_nodes(function))
    stores = any(
        isinstance(one, ast.Global | ast.Nonlocal)
        or (isinstance(one, ast.Attribute | ast.Subscript) and isinstance(one.ctx, ast.Store))
        or (isinstance(one, ast.Attribute) and one.attr in {"add", "append", "put", "put_nowait", "set", "update"})
        for one in nodes
    )
    return not stores and any(isinstance(one, ast.Assert) for one in nodes)


def _keeps_exceptions(call: ast.Call) -> bool:
    return any(
        one.arg == "return_exceptions" and isinstance(one.value, ast.Constant) and one.value.value is True
        for one in call.keywords
    )
