"""What the syntax tree of a function shows about its names."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

CLIENTS = frozenset({"client", "fresh_client", "live_client", "fresh_live_client", "front_client"})
"""The fixtures that are an HTTP client. Its answers are always true, unlike those of the library requests."""
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request", "send"})
UNCALLED = frozenset({"json", "raise_for_status", "read"})
"""The methods of an answer; without their parentheses they are always true."""
EXECUTORS = frozenset({"ThreadPoolExecutor", "ProcessPoolExecutor"})
BUILTINS = frozenset(
    {"AssertionError", "all", "any", "bool", "int", "isinstance", "len", "list", "print", "set", "sorted", "str"}
)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a function, without functions and classes that it defines."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, SCOPES):
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
