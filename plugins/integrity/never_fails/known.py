"""What the syntax tree shows about the names of a file and of a function."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

CLIENTS = frozenset({"client", "fresh_client", "live_client", "fresh_live_client", "front_client"})
"""The fixtures that are an HTTP client. Its answers are always true, unlike those of the library requests."""
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request", "send"})
UNCALLED = frozenset({"json", "raise_for_status", "read"})
"""The methods of an answer; without their parentheses they are always true."""
RESPONSES = frozenset({"answer", "resp", "response"})
"""Names that only an answer has if it has a ``status_code``."""
EXECUTORS = frozenset({"ThreadPoolExecutor", "ProcessPoolExecutor"})
BUILTINS = frozenset(
    {"AssertionError", "all", "any", "bool", "int", "isinstance", "len", "list", "print", "set", "sorted", "str"}
)
LAZY = frozenset({"enumerate", "filter", "iter", "map", "reversed", "zip"})
"""Builtins that return an iterator, which is always true and does nothing until it is read."""
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a function, without functions and classes that it defines."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, SCOPES):
            yield node
            yield from own_nodes(node)


def names_bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that this part of a tree binds, without its own parts."""
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


@dataclass(frozen=True)
class Known:
    """What is known about names: ``clients`` send requests, ``answers`` hold answers and nothing else."""

    clients: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    responses: frozenset[str] = RESPONSES
    """Names that hold answers if they have a status code: also answers of a client that nothing shows to be one."""
    functions: frozenset[str] = frozenset()
    """Functions of the file."""
    lazy: frozenset[str] = LAZY
    pools: frozenset[str] = frozenset()
    """Executors of ``concurrent.futures``: they keep the exception of a call whose result the check does not read."""

    @classmethod
    def of_file(cls, tree: ast.Module) -> Known:
        """Return what is known about names that the whole file binds once."""
        bound = Counter(name for node in ast.walk(tree) for name in names_bound(node))
        functions = [one for one in tree.body if isinstance(one, Function) and not one.decorator_list]
        return cls(
            functions=frozenset(one.name for one in functions if bound[one.name] == 1),
            lazy=LAZY - bound.keys(),
        )

    def within(self, function: Function, clients: Collection[str]) -> Known:
        """Return what is known in a function of the file, in which ``clients`` are fixtures or modules."""
        bound: dict[str, list[ast.expr | None]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.setdefault(node.id, []).append(None)
        known = replace(self, clients=frozenset(clients) - bound.keys())
        for node in own_nodes(function):
            for name, value in _assigned(node):
                bound[name].remove(None)
                bound[name].append(value)
        answers = [name for name, values in bound.items() if all(map(known.is_answer, values))]
        responses = [name for name, values in bound.items() if all(map(_is_request, values))]
        return replace(known, answers=frozenset(answers), responses=RESPONSES.union(responses))

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

    def is_status(self, node: ast.expr) -> bool:
        """Return whether the expression is the status code of an answer."""
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="status_code"):
                return name in self.answers | self.responses
            case ast.Attribute(value=value, attr="status_code"):
                return _is_request(value)
        return False


NOTHING_KNOWN = Known()


def _is_request(node: ast.expr | None) -> bool:
    if isinstance(node, ast.NamedExpr):
        return _is_request(node.value)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((one.id, value) for one in targets if isinstance(one, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value


def literal(node: ast.expr) -> tuple[Any] | None:
    """Return the value of an expression of constants, in a tuple; None for any other expression."""
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def is_empty(node: ast.expr, known: Known = NOTHING_KNOWN) -> bool:
    """Return whether the expression is a list, tuple or generator without any element."""
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]):
            return True
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return is_empty(first.iter, known)
    return False
